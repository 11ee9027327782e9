/* Learns from a device's reading: RemainingPower.learn of remaining_power.py. */

#include <math.h>

#include "demand.h"

#define MAX_FILL_MIN 5

#define N_LIMITS 3
#define MIDDLE_PART 1

static const double LIMIT_FACTORS[N_LIMITS] = {1.0, 0.8, 1.25};
static const double OUTCOME_WEIGHTS[N_DUE] = {0.6, 0.3, 0.3, 0.1, 0.1};

static int64_t part_of(int64_t window_min, int64_t left_min)
{
    return between_int(floor_divide((window_min - left_min) * N_PARTS, window_min), 0, N_PARTS - 1);
}

int64_t regression_of(int64_t window_min, const struct rest *rest)
{
    return rest->ahead_from > 0 ? LATER : part_of(window_min, rest->ahead_to);
}

static void learn_outcome(const struct demand_step *step, int64_t entry, int64_t regression)
{
    const int64_t at = row_of(step, entry) * N_REGRESSIONS + regression, context = step->context;
    const int64_t n_minutes = step->n_minutes[at] < 1 ? 1 : step->n_minutes[at];
    const float *window = step->windows + entry * context;
    double sum_kw = 0.0, exceeded[N_DUE], weights[N_DUE];
    for (int64_t i = 1; i <= smaller_int(n_minutes, context); i++)
        sum_kw += (double)window[context - i];
    const double actual_kw = sum_kw / (double)n_minutes, *due_kw = step->due_kw + at * N_DUE;
    for (int64_t m = 0; m < N_DUE; m++) {
        exceeded[m] = actual_kw > due_kw[m] ? 1.0 : 0.0;
        weights[m] = due_kw[m] > (m < N_LIMITS ? 0.0 : -INFINITY) ? OUTCOME_WEIGHTS[m] : 0.0;
    }
    update_regression(step, step->coefficients + at * N_FEATURES, step->information + at * N_INFORMATION,
                      step->due_features + at * N_DUE * N_FEATURES, exceeded, weights);
}

/* Stores the limits that wait for the outcome of the minutes of rest; their window has the limit limit_kw, and they may
   have the mean allowed_kw. */
static void store_limits(const struct demand_step *step, int64_t entry, int64_t regression, const struct rest *rest,
                         double allowed_kw, double limit_kw)
{
    const int64_t at = row_of(step, entry) * N_REGRESSIONS + regression, n_minutes = rest->ahead_to - rest->ahead_from;
    const double n_windows = regression == LATER ? 1.0 : (double)window_min_of(step, entry) / (double)n_minutes;
    const double step_kw = limit_kw * n_windows, planned_kw = planned_kw_of(step, entry, rest);
    const struct situation situation = situation_of(step, entry, rest->points[step->median]);
    const double log_odds[] = {step->log_odds[LOWER_LEVEL], step->log_odds[UPPER_LEVEL]};
    double z[N_DUE];
    for (int64_t m = 0; m < N_LIMITS; m++)
        z[m] = scaled_of(allowed_kw + (LIMIT_FACTORS[m] - 1.0) * step_kw - planned_kw);
    calibrated_quantiles(step, rest->points, &situation, step->coefficients + at * N_FEATURES,
                         log_odds, N_DUE - N_LIMITS, z + N_LIMITS);
    for (int64_t m = 0; m < N_DUE; m++) {
        double features[N_FEATURES];
        features_at(step, &situation, model_log_odds_of(step, rest->points, z[m]), z[m], features);
        for (int64_t i = 0; i < N_FEATURES; i++)
            step->due_features[(at * N_DUE + m) * N_FEATURES + i] = (float)features[i];
        step->due_kw[at * N_DUE + m] = unscaled_of(step, z[m]);
    }
    step->n_minutes[at] = n_minutes;
}

/* Lets the limits of the window from ahead_from to ahead_to wait, unless others wait in its regression. */
static void begin_waiting(const struct demand_step *step, int64_t entry, int64_t *due, int64_t ahead_from, int64_t ahead_to,
                          double allowed_kw, double limit_kw)
{
    struct rest rest = {.ahead_from = ahead_from, .ahead_to = ahead_to};
    const int64_t window_min = window_min_of(step, entry), regression = regression_of(window_min, &rest);
    if (regression == LATER && part_of(window_min, ahead_from) != MIDDLE_PART)
        return;
    if (due[regression] >= 0 || !(allowed_kw > 0.0) || ahead_to - ahead_from >= step->context)
        return;
    due[regression] = minute_of(step, entry) + ahead_to;
    find_rest(step, entry, ahead_from, ahead_to, &rest);
    store_limits(step, entry, regression, &rest, allowed_kw, limit_kw);
}

void learn_demand(const struct demand_step *step, int64_t entry)
{
    const int64_t row = row_of(step, entry), minute = minute_of(step, entry), newest = step->newest_minute[row];
    const double *state = entry_of(step, entry);
    int64_t *due = step->due_minute + row * N_REGRESSIONS;
    const int has_restarted = minute - newest > MAX_FILL_MIN + 1 || minute <= newest;
    step->newest_entry[row] = -1;
    step->newest_minute[row] = minute;
    for (int64_t regression = 0; regression < N_REGRESSIONS; regression++) {
        if (due[regression] == minute && !has_restarted)
            learn_outcome(step, entry, regression);
        if (due[regression] <= minute || has_restarted)
            due[regression] = -1;
    }
    const int64_t left_min = left_min_of(step, entry), next_end = (int64_t)state[NEXT_END] - (minute + 1);
    begin_waiting(step, entry, due, 0, open_min_of(step, entry), allowed_kw_of(step, entry), state[LIMIT]);
    begin_waiting(step, entry, due, left_min, next_end, next_allowed_kw_of(step, entry), state[NEXT_LIMIT]);
}

/* Learns from the entries of the batch [0, n) whose outcomes are not learned yet. */
EXPORT int64_t gapcast_learn_demands(const struct demand_step *step, int64_t n)
{
    for (int64_t entry = 0; entry < n; entry++)
        if (step->newest_entry[row_of(step, entry)] == entry)
            learn_demand(step, entry);
    return n;
}
