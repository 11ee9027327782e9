/* Learns from a device's newest reading: ensemble_update.py, with pending_forecasts.py, daily_profile.py,
   error_scale.py and conformal_interval.py. */

#include <math.h>
#include <string.h>

#include "device_statistics.h"
#include "ensemble.h"

/* Besides predictions and published values, a pending forecast has last reading, scale, median before the threshold. */
#define N_DUE_MORE 3

static void store_pending(const struct step *step, int64_t entry)
{
    int64_t row = step->rows[entry], n_members = step->n_members, n_columns = step->first_hidden;
    int64_t target = step->minutes[entry] + step->horizon_min, at = row * step->n_slots + floor_modulo(target, step->n_slots);
    double *due = step->due + at * (2 * n_members + N_PUBLISHED + N_DUE_MORE);
    step->due_minute[at] = target;
    memcpy(step->due_columns + at * n_columns, step->columns + entry * step->width, bytes_of(n_columns, sizeof(float)));
    memcpy(due, step->members_kw + entry * 2 * n_members, bytes_of(2 * n_members, sizeof(double)));
    memcpy(due + 2 * n_members, step->kw + entry * N_PUBLISHED, bytes_of(N_PUBLISHED, sizeof(double)));
    due[2 * n_members + N_PUBLISHED] = (double)step->windows[(entry + 1) * step->context - 1];
    due[2 * n_members + N_PUBLISHED + 1] = step->scale_kw[entry];
    due[2 * n_members + N_PUBLISHED + 2] = step->combined_median_kw[entry];
    for (int64_t i = 0; i < N_QUANTITIES; i++)
        step->due_levels[at * N_QUANTITIES + i] = (float)step->levels[entry * N_QUANTITIES + i];
}

static void update_online_model(const struct step *step, int64_t row, const float *columns, double change, double n_outcomes)
{
    int64_t n_columns = step->n_columns, width = step->width, n_covariance = n_columns * (n_columns + 1) / 2;
    float *coefficients = step->coefficients + row * 2 * width, *covariance = step->covariance + row * n_covariance;
    if (rls_update(coefficients, covariance, step->inside + row, columns, n_columns, change, n_outcomes, step->forgetting))
        return;
    memcpy(coefficients, step->coefficients, bytes_of(2 * width, sizeof(float)));
    memcpy(covariance, step->covariance, bytes_of(n_covariance, sizeof(float)));
    step->inside[row] = step->inside[0];
}

static void update_interval_and_scale(double *seen, const double *published_kw, double actual_kw, double change_kw)
{
    double n_outcomes = seen[N_OUTCOMES];
    seen[LOG_WIDTH] =
        updated_log_width(seen[LOG_WIDTH], published_kw[LOWER], published_kw[UPPER], actual_kw, n_outcomes);
    seen[SCALE] = updated_scale_kw(seen[SCALE], change_kw, n_outcomes);
    seen[N_OUTCOMES] = n_outcomes + 1.0;
}

static void report_outcome(struct step *step, int64_t entry, const double *due, double actual_kw)
{
    int64_t n = step->n_outcomes++, n_members = step->n_members;
    step->outcome_rows[n] = step->rows[entry] - 1;
    step->outcome_minutes[n] = step->minutes[entry];
    step->actual_kw[n] = actual_kw;
    step->last_kw[n] = due[2 * n_members + N_PUBLISHED];
    memcpy(step->outcome_members_kw + n * 2 * n_members, due, bytes_of(2 * n_members, sizeof(double)));
    memcpy(step->published_kw + n * N_PUBLISHED, due + 2 * n_members, bytes_of(N_PUBLISHED, sizeof(double)));
}

/* Learns from the forecast in `slot`, whose outcome is `actual_kw`. */
static void learn_from_outcome(struct step *step, int64_t entry, int64_t slot, double actual_kw)
{
    int64_t row = step->rows[entry], n_members = step->n_members, n_weights = 2 * N_SITUATIONS * n_members;
    const double *due = step->due + slot * (2 * n_members + N_PUBLISHED + N_DUE_MORE);
    const double *published_kw = due + 2 * n_members;
    double *seen = step->seen + row * N_SEEN;
    float *memory = step->memory + row * 3 * n_weights;
    double last_kw = due[2 * n_members + N_PUBLISHED], scale_kw = due[2 * n_members + N_PUBLISHED + 1];
    double combined_kw[] = {published_kw[MEAN], due[2 * n_members + N_PUBLISHED + 2]}, change_kw = actual_kw - last_kw;
    double levels[N_QUANTITIES], memberships[N_SITUATIONS];
    float columns[MAX_WIDTH], rates[2 * N_SITUATIONS * MAX_MEMBERS];
    memcpy(columns, step->due_columns + slot * step->first_hidden, bytes_of(step->first_hidden, sizeof(float)));
    complete_columns(step, columns);
    if (step->n_phases && columns[step->n_kw] != 0.0f)
        update_phases(step, row, step->windows + (entry + 1) * step->context - 1 - step->horizon_min,
                      step->context - step->horizon_min, change_kw);
    update_online_model(step, row, columns, change_kw / scale_kw, seen[N_OUTCOMES]);
    for (int64_t i = 0; i < N_QUANTITIES; i++)
        levels[i] = (double)step->due_levels[slot * N_QUANTITIES + i];
    memberships_of(levels, memberships);
    update_memory(memory, due, combined_kw, actual_kw, scale_kw, memberships, n_members, step->horizon_min, rates);
    specialists_of(memory, rates, step->log_prior, n_members, step->specialists + row * n_weights);
    double predicted = (due[n_members - 2] - last_kw) / scale_kw;
    update_mean_offsets(step->mean_correction + row * 2 * N_MEAN_ENTRIES, predicted, levels,
                        (actual_kw - published_kw[MEAN]) / scale_kw, step->horizon_min);
    double mean_change = (published_kw[MEAN] - last_kw) / scale_kw;
    update_median_offsets(step->median_calibration + row * 2 * N_KNOTS, mean_change, actual_kw - combined_kw[MEDIAN],
                          step->horizon_min);
    update_median_threshold(step->median_threshold + row * 2, published_kw[MEDIAN] - last_kw,
                            actual_kw - published_kw[MEDIAN], step->horizon_min);
    update_interval_and_scale(seen, published_kw, actual_kw, change_kw);
    report_outcome(step, entry, due, actual_kw);
}

void learn_from_entry(struct step *step, int64_t entry)
{
    int64_t row = step->rows[entry];
    double *seen = step->seen + row * N_SEEN, last_kw = (double)step->windows[(entry + 1) * step->context - 1];
    step->newest_entry[row] = -1;
    seen[LOG_WIDTH] = step->log_width[entry];
    if (step->is_measured[entry]) {
        int64_t slot = row * step->n_slots + floor_modulo(step->minutes[entry], step->n_slots);
        seen[LOWEST] = min_of(seen[LOWEST], last_kw);
        update_lowest_powers(step->lowest_powers + row * N_LOWEST, last_kw);
        update_profile(step->usual + row * 2 * N_BINS + step->bins[2 * entry], N_BINS, last_kw);
        if (step->due_minute[slot] == step->minutes[entry]) {
            step->due_minute[slot] = -1;
            learn_from_outcome(step, entry, slot, last_kw);
        }
    }
    store_pending(step, entry); /* last: it reuses the slot of the due forecast */
}

/* Loads the memory that learning from `entry` reads, which is in other caches: the row of its device in each array. */
static void prefetch(const struct step *step, int64_t entry)
{
    int64_t row = step->rows[entry], n_members = step->n_members, n_weights = 2 * N_SITUATIONS * n_members;
    int64_t slot = row * step->n_slots + floor_modulo(step->minutes[entry], step->n_slots);
    int64_t n_covariance = step->n_columns * (step->n_columns + 1) / 2;
    const float *arrays[] = {step->covariance + row * n_covariance, step->coefficients + row * 2 * step->width,
                             step->memory + row * 3 * n_weights, step->specialists + row * n_weights,
                             step->due_columns + slot * step->first_hidden};
    const int64_t lengths[] = {n_covariance, 2 * step->width, 3 * n_weights, n_weights, step->first_hidden};
    for (int64_t i = 0; i < (int64_t)(sizeof lengths / sizeof *lengths); i++)
        for (int64_t k = 0; k < lengths[i]; k += FLOATS_OF_LINE)
            __builtin_prefetch(arrays[i] + k, 1);
}

/* Learns from the entries of the batch [0, n) whose outcomes are not learned yet; returns the number of outcomes. */
EXPORT int64_t gapcast_learn(struct step *step, int64_t n)
{
    for (int64_t entry = 0; entry < n; entry++) {
        if (entry + 1 < n)
            prefetch(step, entry + 1);
        if (step->rows[entry] > 0 && step->newest_entry[step->rows[entry]] == entry)
            learn_from_entry(step, entry);
    }
    return step->n_outcomes;
}

EXPORT int64_t gapcast_step_bytes(void) { return (int64_t)sizeof(struct step); }
