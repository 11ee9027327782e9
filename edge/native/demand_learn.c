/* Learns from a device's reading: RemainingPower.learn of remaining_power.py. */

#include <math.h>

#include "demand.h"

#define MAX_FILL_MIN 5

#define N_LIMITS 3

static const double LIMIT_FACTORS[N_LIMITS] = {1.0, 0.8, 1.25};
static const double OUTCOME_WEIGHTS[N_DUE] = {0.6, 0.3, 0.3, 0.1};

int64_t part_of(int64_t window_min, int64_t ahead_to)
{
    return between_int(floor_divide((window_min - ahead_to) * N_PARTS, window_min), 0, N_PARTS - 1);
}

static void learn_outcome(const struct demand_step *step, int64_t entry, int64_t part)
{
    const int64_t at = row_of(step, entry) * N_PARTS + part, context = step->context;
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

/* Stores the limits that wait for the outcome of the rest of the running window. */
static void store_limits(const struct demand_step *step, int64_t entry, int64_t part, int64_t ahead_to)
{
    const int64_t at = row_of(step, entry) * N_PARTS + part;
    const double *state = entry_of(step, entry);
    const double allowed_kw = allowed_kw_of(step, entry);
    const double step_kw = state[LIMIT] * (double)window_min_of(step, entry) / (double)ahead_to;
    struct rest rest;
    double z[N_DUE];
    find_rest(step, entry, 0, ahead_to, &rest);
    const struct situation situation = situation_of(step, entry, rest.points[step->median]);
    const double planned_kw = planned_kw_of(step, entry, &rest);
    for (int64_t m = 0; m < N_LIMITS; m++)
        z[m] = scaled_of(allowed_kw + (LIMIT_FACTORS[m] - 1.0) * step_kw - planned_kw);
    calibrated_quantiles(step, rest.points, &situation, step->coefficients + at * N_FEATURES,
                         step->log_odds + step->level_of_learning, 1, z + N_LIMITS);
    for (int64_t m = 0; m < N_DUE; m++) {
        double features[N_FEATURES];
        features_at(step, &situation, model_log_odds_of(step, rest.points, z[m]), z[m], features);
        for (int64_t i = 0; i < N_FEATURES; i++)
            step->due_features[(at * N_DUE + m) * N_FEATURES + i] = (float)features[i];
        step->due_kw[at * N_DUE + m] = unscaled_of(step, z[m]);
    }
    step->n_minutes[at] = ahead_to;
}

void learn_demand(const struct demand_step *step, int64_t entry)
{
    const int64_t row = row_of(step, entry), minute = minute_of(step, entry), newest = step->newest_minute[row];
    int64_t *due = step->due_minute + row * N_PARTS;
    step->newest_entry[row] = -1;
    if (minute - newest > MAX_FILL_MIN + 1 || minute <= newest)
        due[0] = due[1] = due[2] = -1;
    step->newest_minute[row] = minute;
    for (int64_t part = 0; part < N_PARTS; part++) {
        if (due[part] == minute)
            learn_outcome(step, entry, part);
        if (due[part] <= minute)
            due[part] = -1;
    }
    const int64_t ahead_to = left_min_of(step, entry), part = part_of(window_min_of(step, entry), ahead_to);
    if (due[part] >= 0 || !(allowed_kw_of(step, entry) > 0.0) || ahead_to >= step->context)
        return;
    due[part] = minute + ahead_to;
    store_limits(step, entry, part, ahead_to);
}

/* Learns from the entries of the batch [0, n) whose outcomes are not learned yet. */
EXPORT int64_t gapcast_learn_demands(const struct demand_step *step, int64_t n)
{
    for (int64_t entry = 0; entry < n; entry++)
        if (step->newest_entry[row_of(step, entry)] == entry)
            learn_demand(step, entry);
    return n;
}
