/* The probability that a single minute is above a fuse's limit: fuse.py and exceedances.py. */

#include <math.h>

#include "demand.h"

#define EXTREMAL_INDEX 0.3
#define BEYOND 0.05
#define DECAY 0.45
#define MIN_WIDTH_KW 1e-6
#define TAIL_P 0.2316419
#define FARTHEST_Z 37.0
#define N_TAIL 5

static const double TAIL[N_TAIL] = {0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429};
static const double PI = 3.141592653589793;

/* The probability that a standard normal value is above z, accurate to 1e-7. */
static double upper_tail(double z)
{
    const double size = min_of(fabs(z), FARTHEST_Z), t = 1.0 / (1.0 + TAIL_P * size);
    double series = 0.0;
    for (int64_t i = N_TAIL - 1; i >= 0; i--)
        series = (series + TAIL[i]) * t;
    const double tail = series * exp(-0.5 * size * size) / sqrt(2 * PI);
    return z < 0 ? 1.0 - tail : tail;
}

static double p_of_minute(const struct demand_step *step, double fuse_kw, double median_kw, double lower_kw, double upper_kw)
{
    const double away_kw = fuse_kw - median_kw, width_kw = away_kw > 0 ? upper_kw - median_kw : median_kw - lower_kw;
    const double z = away_kw * step->z_bound / max_of(width_kw, MIN_WIDTH_KW);
    return z > step->z_bound ? BEYOND * exp(-DECAY * max_of(z - step->z_bound, 0.0)) : upper_tail(z);
}

/* The planned power in a minute ahead, from 0 on. */
static double planned_kw_in(const struct demand_step *step, int64_t entry, int64_t minute)
{
    return step->has_planned ? step->planned_minutes_kw[entry * step->n_minutes_ahead + minute] : 0.0;
}

/* Writes the exceedance probability of an entry with a fuse, and limits the running window's headroom by the fuse. */
void limit_by_fuse(const struct demand_step *step, int64_t entry)
{
    const double *state = entry_of(step, entry), *point_kw = step->point_kw + entry * step->n_leads * N_POINT;
    double *demand = step->demands + entry * N_DEMAND;
    if (isnan(state[FUSE]))
        return;
    const int64_t n_minutes = smaller_int(left_min_of(step, entry), step->n_minutes_ahead);
    double none_above = 1.0, highest_p = 0.0, highest_kw = -INFINITY;
    for (int64_t minute = 0; minute < n_minutes; minute++) {
        const double *weights = step->minute_weights + minute * step->n_leads;
        double kw[N_POINT] = {0.0};
        for (int64_t k = 0; k < step->n_leads; k++)
            for (int64_t column = 0; column < N_POINT; column++)
                kw[column] += weights[k] * point_kw[k * N_POINT + column];
        const double median_kw = kw[POINT_MEDIAN], upper_kw = kw[POINT_UPPER];
        const double planned_kw = planned_kw_in(step, entry, minute);
        const double p = p_of_minute(step, state[FUSE] - planned_kw, median_kw, kw[POINT_LOWER], upper_kw);
        none_above *= 1.0 - p;
        highest_p = max_of(highest_p, p);
        const double up_kw = max_of(upper_kw - median_kw, MIN_WIDTH_KW) * (state[FUSE_Z] / step->z_bound);
        highest_kw = max_of(highest_kw, median_kw + up_kw + planned_kw);
    }
    double *headroom_kw = demand + FIRST_WINDOW + HEADROOM;
    demand[N_DEMAND - 1] = max_of(1.0 - pow(none_above, EXTREMAL_INDEX), highest_p);
    *headroom_kw = min_of(*headroom_kw, state[FUSE] - highest_kw);
}
