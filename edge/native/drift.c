/* Adds outcomes to the day in progress of each device, as core/learning/scores/drift_state.py does. */

#include <math.h>

#include "outcomes.h"

static const double LARGEST_KW = 1e9;
static const int64_t DAY_MIN = 1440;

struct error_sum {
    double n, total_kw;
};

struct drift_state {
    const struct outcomes *outcomes;
    int64_t *day;             /* [n_rows] */
    struct error_sum *today;  /* [n_rows] */
    int64_t *ended;           /* [n]: the outcomes that ended a complete day */
    struct error_sum *totals; /* [n]: the sums of these days */
    int64_t n_rows, max_devices;
    double min_outcomes;
};

/* Adds n outcomes in order. Returns the number of complete days that ended, or -r, without adding any, if the state
   needs r rows first. */
EXPORT int64_t gapcast_add_to_days(const struct drift_state *state, int64_t n)
{
    const struct outcomes *outcomes = state->outcomes;
    const int64_t needed = rows_needed(outcomes, n, state->max_devices);
    if (needed > state->n_rows)
        return -needed;
    int64_t n_ended = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = outcomes->rows[i];
        if (!is_tracked(row, state->max_devices))
            continue;
        struct error_sum *today = state->today + row;
        const int64_t day = floor_divide(outcomes->minutes[i], DAY_MIN);
        if (day != state->day[row]) {
            if (day > state->day[row] && today->n >= state->min_outcomes) {
                state->ended[n_ended] = i;
                state->totals[n_ended++] = *today;
            }
            state->day[row] = day;
            *today = (struct error_sum){0, 0};
        }
        const double *published_kw = outcomes->published_kw + i * N_PUBLISHED;
        const double forecast_kw = isnan(published_kw[MEDIAN]) ? published_kw[MEAN] : published_kw[MEDIAN];
        const double error = fabs(forecast_kw - outcomes->actual_kw[i]);
        if (isnan(error))
            continue;
        today->n += 1;
        today->total_kw += error > LARGEST_KW ? LARGEST_KW : error;
    }
    return n_ended;
}
