/* The inputs of the log-odds of an exceedance, and their regression: exceedance_features.py and exceedance_model.py. */

#include <math.h>

#include "demand.h"

#define MIDDLE 3.0
#define REACH 2.0
#define FARTHEST_BELOW (-2.0)
#define FARTHEST_ABOVE 1.0
#define HINGE (-0.3)
#define LIMIT_BELOW (-2.0)
#define LIMIT_ABOVE 2.5
#define MINUTES_OF_DAY 1440
#define BEFORE_LAST_MIN 3
#define FARTHEST_BACK_MIN 180

#define PRIOR_INFORMATION 15.0
#define KEPT (1.0 - 1e-5)
#define MARGIN (1.0 + 1e-7)
#define MOST_COEFFICIENT 20.0
#define MOST_LOG_ODDS 30.0

struct situation situation_of(const struct demand_step *step, int64_t entry, double median_z)
{
    const float *window = step->windows + entry * step->context;
    const int64_t context = step->context, n_spans = step->n_spans;
    const int64_t *from = step->spans, *to = from + n_spans, *lengths = to + n_spans;
    double back_kw[FARTHEST_BACK_MIN + 1];
    struct situation found;
    back_kw[0] = 0.0;
    for (int64_t i = 1; i <= smaller_int(context, FARTHEST_BACK_MIN); i++)
        back_kw[i] = back_kw[i - 1] + (double)window[context - i];
    double highest_kw = -INFINITY;
    for (int64_t i = 0; i < n_spans; i++) {
        const double mean_kw = (back_kw[from[i]] - back_kw[to[i]]) / (double)lengths[i];
        if (i < N_SINGLE_SPANS)
            found.powers[2 + i] = scaled_of(mean_kw);
        else
            highest_kw = max_of(highest_kw, mean_kw);
    }
    found.powers[0] = scaled_of((double)window[context - 1]);
    found.powers[1] = scaled_of((double)window[context - smaller_int(BEFORE_LAST_MIN, context)]);
    found.powers[N_POWERS - 2] = scaled_of(highest_kw);
    found.powers[N_POWERS - 1] = median_z;
    const int64_t minute = floor_modulo(minute_of(step, entry), MINUTES_OF_DAY);
    found.time[0] = step->on_circle[2 * minute];
    found.time[1] = step->on_circle[2 * minute + 1];
    return found;
}

WIDE void features_at(const struct demand_step *step, const struct situation *situation, double log_odds, double z,
                      double *restrict features)
{
    double *time = features + N_LINES, *above = time + 2, *hinged = above + N_POWERS;
    features[0] = 1.0;
    features[1] = within(log_odds, MIDDLE);
    features[2] = max_of(log_odds - MIDDLE, 0.0);
    features[3] = min_of(log_odds + MIDDLE, 0.0);
    features[4] = max_of(1.0 - fabs(log_odds) / REACH, 0.0);
    time[0] = situation->time[0];
    time[1] = situation->time[1];
    for (int64_t i = 0; i < N_POWERS; i++) {
        const double distance = not_above(not_below(situation->powers[i] - z, FARTHEST_BELOW), FARTHEST_ABOVE);
        hinged[i] = not_below(distance - HINGE, 0.0);
        above[i] = distance + 1.0;
    }
    features[N_FEATURES - 1] = min_of(max_of(z - step->one_kw_z, LIMIT_BELOW), LIMIT_ABOVE);
}

/* The log-odds at the nodes [19], coefficients times features_at each node: term by term, for all nodes at once. */
WIDE void log_odds_at_nodes(const struct demand_step *step, const struct situation *situation, const double *coefficients,
                            const double *restrict nodes, double *restrict log_odds)
{
    const double *of_time = coefficients + N_LINES, *of_powers = of_time + 2, *of_hinged = of_powers + N_POWERS;
    double distances[N_POWERS][N_NODES];
    for (int64_t j = 0; j < N_NODES; j++) {
        const double model = step->node_log_odds[j];
        log_odds[j] = coefficients[0];
        log_odds[j] += coefficients[1] * not_above(not_below(model, -MIDDLE), MIDDLE);
        log_odds[j] += coefficients[2] * not_below(model - MIDDLE, 0.0);
        log_odds[j] += coefficients[3] * not_above(model + MIDDLE, 0.0);
        log_odds[j] += coefficients[4] * not_below(1.0 - fabs(model) / REACH, 0.0);
        log_odds[j] += of_time[0] * situation->time[0];
        log_odds[j] += of_time[1] * situation->time[1];
    }
    for (int64_t i = 0; i < N_POWERS; i++)
        for (int64_t j = 0; j < N_NODES; j++) {
            distances[i][j] = not_above(not_below(situation->powers[i] - nodes[j], FARTHEST_BELOW), FARTHEST_ABOVE);
            log_odds[j] += of_powers[i] * (distances[i][j] + 1.0);
        }
    for (int64_t i = 0; i < N_POWERS; i++)
        for (int64_t j = 0; j < N_NODES; j++)
            log_odds[j] += of_hinged[i] * not_below(distances[i][j] - HINGE, 0.0);
    for (int64_t j = 0; j < N_NODES; j++) {
        const double limit = not_above(not_below(nodes[j] - step->one_kw_z, LIMIT_BELOW), LIMIT_ABOVE);
        log_odds[j] += coefficients[N_FEATURES - 1] * limit;
    }
}

/* Solves matrix x = right by elimination with the largest pivot of each column, in place: the solution is in right. */
static void solve(double matrix[N_FEATURES][N_FEATURES], double *right)
{
    for (int64_t k = 0; k < N_FEATURES; k++) {
        int64_t pivot = k;
        for (int64_t i = k + 1; i < N_FEATURES; i++)
            if (fabs(matrix[i][k]) > fabs(matrix[pivot][k]))
                pivot = i;
        if (pivot != k) {
            const double swapped = right[k];
            right[k] = right[pivot];
            right[pivot] = swapped;
            for (int64_t j = k; j < N_FEATURES; j++) {
                const double element = matrix[k][j];
                matrix[k][j] = matrix[pivot][j];
                matrix[pivot][j] = element;
            }
        }
        for (int64_t i = k + 1; i < N_FEATURES; i++) {
            const double factor = matrix[i][k] / matrix[k][k];
            for (int64_t j = k + 1; j < N_FEATURES; j++)
                matrix[i][j] -= factor * matrix[k][j];
            right[i] -= factor * right[k];
        }
    }
    for (int64_t k = N_FEATURES - 1; k >= 0; k--) {
        for (int64_t j = k + 1; j < N_FEATURES; j++)
            right[k] -= matrix[k][j] * right[j];
        right[k] /= matrix[k][k];
    }
}

/* features [5, 24], exceeded [5] and weights [5] belong to the limits that one outcome decides. */
void update_regression(const struct demand_step *step, double *coefficients, float *information, const float *features,
                       const double *exceeded, const double *weights)
{
    double matrix[N_FEATURES][N_FEATURES], slope[N_FEATURES] = {0.0};
    double inputs[N_DUE][N_FEATURES], weighted[N_DUE][N_FEATURES];
    for (int64_t m = 0; m < N_DUE; m++) {
        double log_odds = 0.0;
        for (int64_t i = 0; i < N_FEATURES; i++) {
            inputs[m][i] = (double)features[m * N_FEATURES + i];
            log_odds += inputs[m][i] * coefficients[i];
        }
        const double p = 1.0 / (1.0 + exp(-within(log_odds, MOST_LOG_ODDS)));
        const double information_of = weights[m] * p * (1.0 - p), error = weights[m] * (exceeded[m] - p);
        for (int64_t i = 0; i < N_FEATURES; i++) {
            weighted[m][i] = inputs[m][i] * information_of;
            slope[i] += inputs[m][i] * error;
        }
    }
    int64_t at = 0;
    for (int64_t i = 0; i < N_FEATURES; i++) {
        for (int64_t j = i; j < N_FEATURES; j++, at++) {
            double added = 0.0;
            for (int64_t m = 0; m < N_DUE; m++)
                added += inputs[m][i] * weighted[m][j];
            double element = (double)information[at] * KEPT + added;
            if (i == j)
                element += (1.0 - KEPT) * PRIOR_INFORMATION;
            information[at] = (float)element;
            matrix[i][j] = matrix[j][i] = element;
        }
        matrix[i][i] *= MARGIN;
        slope[i] += (1.0 - KEPT) * PRIOR_INFORMATION * (step->prior[i] - coefficients[i]);
    }
    solve(matrix, slope);
    for (int64_t i = 0; i < N_FEATURES; i++)
        coefficients[i] = within(coefficients[i] + slope[i], MOST_COEFFICIENT);
}
