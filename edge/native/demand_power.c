/* The distribution of the mean power over the rest of a window: distribution.py, mean_shares.py, model_quantiles.py and
   remaining_power.py. */

#include <math.h>

#include "demand.h"

#define BEND_KW 0.2
#define MOST_KW 1e4

/* asinh and sinh by log and exp, which are faster: the absolute difference is of the order of 1e-16. */
double scaled_of(double kw)
{
    const double bent = fmax(fmin(kw, MOST_KW), -MOST_KW) / BEND_KW, size = fabs(bent);
    return copysign(log(size + sqrt(size * size + 1.0)), bent);
}

double unscaled_of(const struct demand_step *step, double z)
{
    const double grown = exp(within(z, step->most_z));
    return 0.5 * BEND_KW * (grown - 1.0 / grown);
}

static void find_shares(const struct demand_step *step, struct rest *rest)
{
    const int64_t first = between_int(rest->ahead_from, 0, FARTHEST_MIN - 1);
    const int64_t last = between_int(rest->ahead_to, first + 1, FARTHEST_MIN);
    const double *from = step->energy + first * step->n_leads, *to = step->energy + last * step->n_leads;
    for (int64_t k = 0; k < step->n_leads; k++)
        rest->shares[k] = (to[k] - from[k]) / (double)(last - first);
}

/* The points of the model's curve on the scale of powers; they rise. */
static void find_points(const struct demand_step *step, int64_t entry, struct rest *rest)
{
    const int64_t n = step->n_levels;
    const double *quantiles_kw = step->quantiles_kw + entry * step->n_leads * n;
    double *points = rest->points, highest = -INFINITY;
    for (int64_t q = 0; q < n; q++) {
        double kw = 0.0;
        for (int64_t k = 0; k < step->n_leads; k++)
            kw += rest->shares[k] * quantiles_kw[k * n + q];
        highest = max_of(highest, scaled_of(kw));
        points[1 + q] = highest + step->steps[q];
    }
    points[0] = max_of(points[1] - step->first_tail * (points[2] - points[1]), -2 * step->most_z);
    const double last = min_of(points[n] + step->last_tail * (points[n] - points[n - 1]), step->highest_z);
    points[n + 1] = max_of(last, points[n] + step->steps[1]);
}

void find_rest(const struct demand_step *step, int64_t entry, int64_t ahead_from, int64_t ahead_to, struct rest *rest)
{
    rest->ahead_from = ahead_from;
    rest->ahead_to = ahead_to;
    find_shares(step, rest);
    find_points(step, entry, rest);
}

/* The planned power in the distribution of a rest, which belongs to the running window or to the next one. */
double planned_kw_of(const struct demand_step *step, int64_t entry, const struct rest *rest)
{
    return step->has_planned ? step->planned_kw[entry * N_PLANNED + (rest->ahead_from > 0)] : 0.0;
}

/* The planned power in the expected mean of a rest. */
double expected_planned_kw_of(const struct demand_step *step, int64_t entry, const struct rest *rest)
{
    return step->has_planned ? step->planned_kw[entry * N_PLANNED + N_PLANNED / 2 + (rest->ahead_from > 0)] : 0.0;
}

/* Like numpy.interp: the log-odds of the model's curve at z; beyond its ends the values at the ends. */
double model_log_odds_of(const struct demand_step *step, const double *points, double z)
{
    const int64_t last = step->n_levels + 1;
    const double *values = step->curve_log_odds;
    if (z < points[0])
        return values[0];
    if (z >= points[last])
        return values[last];
    int64_t i = 0;
    while (i < last - 1 && points[i + 1] <= z)
        i++;
    return z == points[i] ? values[i] : (values[i + 1] - values[i]) / (points[i + 1] - points[i]) * (z - points[i]) + values[i];
}

/* The calibrated quantiles [n], on the scale of powers, at log_odds [n], falling. */
void calibrated_quantiles(const struct demand_step *step, const double *points, const struct situation *situation,
                          const double *coefficients, const double *log_odds, int64_t n, double *z)
{
    double nodes[N_NODES] = {0.0}, of_nodes[N_NODES], rising[N_NODES], lowest = INFINITY;
    for (int64_t i = 0; i < step->n_levels + 2; i++)
        for (int64_t j = 0; j < N_NODES; j++)
            nodes[j] += points[i] * step->to_nodes[i * N_NODES + j];
    log_odds_at_nodes(step, situation, coefficients, nodes, of_nodes);
    for (int64_t j = 0; j < N_NODES; j++) {
        lowest = min_of(lowest, of_nodes[j] + step->falls[j]);
        rising[j] = step->falls[j] - lowest;
    }
    int64_t part = 0;
    for (int64_t level = 0; level < n; level++) {
        const double at = -log_odds[level];
        while (part < N_NODES - 2 && rising[part + 1] <= at)
            part++;
        const double share = min_of(max_of((at - rising[part]) / (rising[part + 1] - rising[part]), 0.0), 1.0);
        z[level] = nodes[part] + share * (nodes[part + 1] - nodes[part]);
    }
}
