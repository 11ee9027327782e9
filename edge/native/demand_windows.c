/* The demands of a batch of readings: window_forecasts.py, distribution.py, numpy_demands.py and demand_state.py. */

#include <math.h>
#include <string.h>

#include "demand.h"

#define MIN_STEP_KW 1e-6
#define LARGEST_KW 1e9
#define LARGEST_LOG_ODDS 30.0

/* The known values of a window: minutes, those that are left or unmeasured, the sum of the known minutes, and what the
   open minutes may draw. */
struct window {
    double *values;
    double length_min, open_min, drawn_kw, allowed_kw;
};

int64_t window_min_of(const struct demand_step *step, int64_t entry)
{
    const double *state = entry_of(step, entry);
    return (int64_t)(state[END] - state[START]);
}

int64_t left_min_of(const struct demand_step *step, int64_t entry)
{
    return (int64_t)entry_of(step, entry)[END] - (minute_of(step, entry) + 1);
}

/* The minutes of the running window that are left or unmeasured. */
int64_t open_min_of(const struct demand_step *step, int64_t entry)
{
    return window_min_of(step, entry) - (int64_t)entry_of(step, entry)[N_KNOWN];
}

static double drawn_kw_of(const struct demand_step *step, int64_t entry)
{
    const double *state = entry_of(step, entry);
    return state[N_KNOWN] > 0.0 ? state[N_KNOWN] * (state[SUM] / state[N_KNOWN]) : 0.0;
}

double allowed_kw_of(const struct demand_step *step, int64_t entry)
{
    const double *state = entry_of(step, entry), length = state[END] - state[START];
    return (length * state[LIMIT] - drawn_kw_of(step, entry)) / (length - state[N_KNOWN]);
}

/* The mean that the minutes of the next window may have; rounded as in columns_of of window_forecasts.py. */
double next_allowed_kw_of(const struct demand_step *step, int64_t entry)
{
    const double *state = entry_of(step, entry), length_min = state[NEXT_END] - state[END];
    return length_min * state[NEXT_LIMIT] / length_min;
}

static void write_running(const struct demand_step *step, int64_t entry, struct window *window)
{
    const double *state = entry_of(step, entry);
    double *values = window->values;
    values[STARTS] = state[START];
    values[ENDS] = state[END];
    values[ELAPSED] = (double)(minute_of(step, entry) + 1) - state[START];
    values[KNOWN] = state[N_KNOWN];
    values[SO_FAR] = state[N_KNOWN] > 0.0 ? state[SUM] / state[N_KNOWN] : NAN;
    values[LIMITS] = state[LIMIT];
    values[SOURCES] = state[SOURCE];
    window->length_min = state[END] - state[START];
    window->open_min = window->length_min - state[N_KNOWN];
    window->drawn_kw = drawn_kw_of(step, entry);
    window->allowed_kw = allowed_kw_of(step, entry);
}

static void write_next(const struct demand_step *step, int64_t entry, struct window *window)
{
    const double *state = entry_of(step, entry);
    double *values = window->values;
    values[STARTS] = state[END];
    values[ENDS] = state[NEXT_END];
    values[ELAPSED] = values[KNOWN] = 0.0;
    values[SO_FAR] = NAN;
    values[LIMITS] = state[NEXT_LIMIT];
    values[SOURCES] = state[NEXT_SOURCE];
    window->length_min = window->open_min = state[NEXT_END] - state[END];
    window->drawn_kw = 0.0;
    window->allowed_kw = next_allowed_kw_of(step, entry);
}

/* Returns the lower index of the pair of levels around the log-odds. */
static int64_t place_of(const struct demand_step *step, double log_odds)
{
    int64_t n = 0;
    while (n < N_LEVELS_OF_TABLE && log_odds < step->log_odds[n])
        n++;
    return between_int(n - 1, 0, N_LEVELS_OF_TABLE - 2);
}

static double quantile_of(const struct demand_step *step, const double *kw, double level)
{
    const double log_odds = log((1.0 - level) / level);
    const int64_t i = place_of(step, log_odds);
    const double share = (step->log_odds[i] - log_odds) / (step->log_odds[i] - step->log_odds[i + 1]);
    return kw[i] + share * (kw[i + 1] - kw[i]);
}

static double exceedance_of(const struct demand_step *step, const double *kw, double limit_kw)
{
    int64_t n = 0;
    for (int64_t level = 0; level < N_LEVELS_OF_TABLE; level++)
        n += kw[level] < limit_kw;
    const int64_t i = between_int(n - 1, 0, N_LEVELS_OF_TABLE - 2);
    const double fall = step->log_odds[i] - step->log_odds[i + 1];
    const double log_odds = step->log_odds[i] - (limit_kw - kw[i]) / (kw[i + 1] - kw[i]) * fall;
    return 1.0 / (1.0 + exp(-within(log_odds, LARGEST_LOG_ODDS)));
}

/* Turns powers z, on the scale of powers, into a table of quantiles, kW; returns whether all quantiles are sound. */
static int table_of(const struct demand_step *step, int64_t entry, const struct rest *rest, const double *z, double *kw)
{
    const double planned_kw = planned_kw_of(step, entry, rest);
    double highest_kw = entry_of(step, entry)[LEAST];
    int is_sound = 1;
    for (int64_t level = 0; level < N_LEVELS_OF_TABLE; level++) {
        highest_kw = max_of(highest_kw, max_of(unscaled_of(step, z[level]), step->floor_kw[entry]) + planned_kw);
        kw[level] = highest_kw + (double)(level - LOWER_LEVEL) * MIN_STEP_KW;
        is_sound &= fabs(kw[level]) <= LARGEST_KW;
    }
    return is_sound;
}

static void reset(const struct demand_step *step, int64_t row)
{
    const size_t n_means = (size_t)(step->n_leads * step->n_levels);
    memcpy(step->coefficients + row * N_REGRESSIONS * N_FEATURES, step->coefficients, sizeof(double) * N_REGRESSIONS * N_FEATURES);
    memcpy(step->information + row * N_REGRESSIONS * N_INFORMATION, step->information, sizeof(float) * N_REGRESSIONS * N_INFORMATION);
    step->newest_minute[row] = step->newest_minute[0];
    memcpy(step->due_minute + row * N_REGRESSIONS, step->due_minute, sizeof(int64_t) * N_REGRESSIONS);
    memcpy(step->n_minutes + row * N_REGRESSIONS, step->n_minutes, sizeof(int64_t) * N_REGRESSIONS);
    memcpy(step->due_kw + row * N_REGRESSIONS * N_DUE, step->due_kw, sizeof(double) * N_REGRESSIONS * N_DUE);
    memcpy(step->due_features + row * N_REGRESSIONS * N_DUE * N_FEATURES, step->due_features,
           sizeof(float) * N_REGRESSIONS * N_DUE * N_FEATURES);
    memcpy(step->stored_quantiles_kw + row * (int64_t)n_means, step->stored_quantiles_kw, sizeof(float) * n_means);
    step->stored_floor_kw[row] = step->stored_floor_kw[0];
}

/* Finds the tables of the rests of both windows, [2, 17]; resets the learned state if it gives no sound table. */
static void find_tables(const struct demand_step *step, int64_t entry, const struct rest *rests, double *kw)
{
    const int64_t row = row_of(step, entry), window_min = window_min_of(step, entry);
    struct situation situation = situation_of(step, entry, 0.0);
    for (int64_t attempt = 0; attempt < 2; attempt++) {
        int is_sound = 1;
        for (int64_t i = 0; i < 2; i++) {
            const int64_t at = row * N_REGRESSIONS + regression_of(window_min, rests + i);
            double z[N_LEVELS_OF_TABLE];
            situation.powers[N_POWERS - 1] = rests[i].points[step->median];
            calibrated_quantiles(step, rests[i].points, &situation, step->coefficients + at * N_FEATURES, step->log_odds,
                                 N_LEVELS_OF_TABLE, z);
            is_sound &= table_of(step, entry, rests + i, z, kw + i * N_LEVELS_OF_TABLE);
        }
        if (is_sound)
            return;
        if (attempt == 0)
            reset(step, row);
    }
}

static void write_forecast(const struct demand_step *step, int64_t entry, const struct window *window,
                           const struct rest *rest, const double *kw)
{
    double *values = window->values, means_kw[MAX_LEADS];
    const double length = window->length_min, added_kw = window->drawn_kw / length;
    const double share = window->open_min / length, risk = entry_of(step, entry)[RISK];
    const int is_limited = !isnan(values[LIMITS]);
    const double most_kw = is_limited ? window->allowed_kw : step->highest_kw;
    for (int64_t k = 0; k < step->n_leads; k++)
        means_kw[k] = rest->shares[k] * step->mean_kw[entry * step->n_leads + k];
    const double expected_kw = pairwise_sum(means_kw, step->n_leads) + expected_planned_kw_of(step, entry, rest);
    values[EXPECTED] = added_kw + share * expected_kw;
    values[LOWER_KW] = added_kw + share * kw[LOWER_LEVEL];
    values[MEDIAN_KW] = added_kw + share * kw[MEDIAN_LEVEL];
    values[UPPER_KW] = added_kw + share * kw[UPPER_LEVEL];
    values[P_EXCEED] = is_limited ? exceedance_of(step, kw, most_kw) : 0.0;
    values[HEADROOM] = most_kw - (is_limited ? quantile_of(step, kw, 1.0 - risk) : kw[UPPER_LEVEL]);
    if (is_limited)
        values[HEADROOM] *= window->open_min / (length - values[ELAPSED]);
}

static void store_means(const struct demand_step *step, int64_t entry)
{
    const int64_t row = row_of(step, entry), n_means = step->n_leads * step->n_levels;
    for (int64_t i = 0; i < n_means; i++)
        step->stored_quantiles_kw[row * n_means + i] = (float)step->quantiles_kw[entry * n_means + i];
    step->stored_floor_kw[row] = (float)step->floor_kw[entry];
}

static void make_demand(const struct demand_step *step, int64_t entry)
{
    double *demand = step->demands + entry * N_DEMAND, kw[2 * N_LEVELS_OF_TABLE];
    const double *state = entry_of(step, entry);
    const int64_t left_min = left_min_of(step, entry), next_end = (int64_t)state[NEXT_END] - (minute_of(step, entry) + 1);
    struct window windows[2] = {{.values = demand + FIRST_WINDOW}, {.values = demand + FIRST_WINDOW + N_WINDOW}};
    struct rest rests[2];
    demand[OBSERVED] = (double)minute_of(step, entry);
    demand[ISSUED] = step->issued_at_ms;
    write_running(step, entry, windows);
    write_next(step, entry, windows + 1);
    find_rest(step, entry, 0, open_min_of(step, entry), rests);
    find_rest(step, entry, left_min, next_end, rests + 1);
    find_tables(step, entry, rests, kw);
    for (int64_t i = 0; i < 2; i++)
        write_forecast(step, entry, windows + i, rests + i, kw + i * N_LEVELS_OF_TABLE);
    double *others = demand + FIRST_WINDOW + 2 * N_WINDOW;
    others[0] = state[RISK];
    others[1] = state[PEAK];
    others[2] = state[FUSE];
    others[3] = NAN;
    limit_by_fuse(step, entry);
    memcpy(step->newest + row_of(step, entry) * N_DEMAND, demand, sizeof(double) * N_DEMAND);
    store_means(step, entry);
}

/* Makes the demands of n readings, in order for each device. The last reading of each device is not learned from
   yet. */
EXPORT int64_t gapcast_make_demands(const struct demand_step *step, int64_t n)
{
    int64_t closed_at = 0;
    for (int64_t entry = 0; entry < n; entry++) {
        int32_t *newest_entry = step->newest_entry + row_of(step, entry);
        if (*newest_entry >= 0)
            learn_demand(step, *newest_entry);
        make_demand(step, entry);
        closed_at = record_demand(step, entry, closed_at);
        *newest_entry = (int32_t)entry;
    }
    return n;
}

EXPORT int64_t gapcast_demand_step_bytes(void) { return (int64_t)sizeof(struct demand_step); }
