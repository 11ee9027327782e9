/* Learns from the newest reading for the outlooks of a device: online_outlook.py with pending_outlooks.py,
   daily_profile.py, error_scale.py and conformal_interval.py. */

#include <math.h>
#include <string.h>

#include "device_statistics.h"
#include "outlook.h"

#define SCALE_MIN 15
#define MAX_FILL_MIN 5
#define MOST_RECENT 10.0

static const double RECENT_MIN[N_RECENT] = {15.0, 60.0};

/* The outcomes in the readings until now, by lead time: the minute and mean, and the mean of the window before. */
struct outcome {
    double actual_kw[MAX_LEADS][N_KINDS], window_kw[MAX_LEADS];
};

static void read_outcomes(const struct outlook_step *step, const float *last, struct outcome *outcome)
{
    double sums[2][MAX_LEADS], sum = 0.0;
    int64_t minute = 0, lead = 0, twice = 0;
    /* Lead times rise: the sums of their minutes, and of twice as many, are parts of one sum. */
    while (twice < step->n_leads) {
        int64_t end = 2 * step->leads[twice];
        if (lead < step->n_leads && step->leads[lead] < end)
            end = step->leads[lead];
        for (; minute < end; minute++)
            sum += (double)last[-minute];
        for (; lead < step->n_leads && step->leads[lead] == end; lead++)
            sums[0][lead] = sum;
        for (; twice < step->n_leads && 2 * step->leads[twice] == end; twice++)
            sums[1][twice] = sum;
    }
    for (lead = 0; lead < step->n_leads; lead++) {
        double length = (double)step->leads[lead];
        outcome->actual_kw[lead][0] = (double)last[0];
        outcome->actual_kw[lead][1] = sums[0][lead] / length;
        outcome->window_kw[lead] = (sums[1][lead] - sums[0][lead]) / length;
    }
}

/* The slot of the outlook issued `back` minutes before that of `slot`; `back` is at most the number of slots. */
static int64_t slot_before(const struct outlook_step *step, int64_t slot, int64_t back)
{
    return slot >= back ? slot - back : slot - back + step->n_slots;
}

/* The place of the values at each lead time whose outcome is the reading of `minute`; the values stored next reuse
   it. */
static void find_places(const struct outlook_step *step, int64_t row, int64_t minute, int64_t *places)
{
    int64_t first = row * step->n_places;
    for (int64_t lead = 0; lead < step->n_leads; lead++) {
        places[lead] = first + floor_modulo(minute, step->leads[lead]);
        first += step->leads[lead];
    }
}

/* Learns the width of the bounds of a lead time and kind; writes the errors [2] and the changes [2] of the outlook. */
static void learn_width(const struct outlook_step *step, int64_t row, int64_t at, const float *values, double actual_kw,
                        double scale_kw, double *errors, double *change)
{
    int64_t n = step->n_leads * N_KINDS;
    double n_outcomes = step->n_outcomes[row * step->n_leads + at / N_KINDS];
    double *log_width = step->log_width + row * n + at;
    const float *kw = values + 2 * N_STATISTICS;
    *log_width =
        updated_log_width(*log_width, (double)kw[OF_LOWER], (double)kw[OF_UPPER], actual_kw, n_outcomes);
    for (int64_t i = 0; i < N_STATISTICS; i++) {
        errors[i] = (actual_kw - (double)values[i]) / scale_kw;
        change[i] = (double)values[N_STATISTICS + i];
    }
}

static void learn_outcomes(struct outlook_step *step, int64_t entry, const float *last, const int64_t *places)
{
    int64_t row = step->rows[entry], minute = step->minutes[entry], k = step->n_leads, n = k * N_KINDS;
    double scale_kw = step->seen[row * N_OF_SEEN + SEEN_SCALE], *recent = step->recent + row * N_RECENT;
    double newest[MAX_LEADS] = {0.0};
    int is_due[MAX_LEADS] = {0}, is_any = 0;
    struct outcome outcome;
    int64_t newest_slot = floor_modulo(minute, step->n_slots), slots[MAX_LEADS] = {0};
    for (int64_t lead = 0; lead < k; lead++) {
        slots[lead] = row * step->n_slots + slot_before(step, newest_slot, step->leads[lead]);
        is_due[lead] = step->issued_minute[slots[lead]] == minute - step->leads[lead];
        is_any |= is_due[lead];
    }
    if (!is_any)
        return;
    read_outcomes(step, last, &outcome);
    for (int64_t lead = 0; lead < k; lead++) {
        if (!is_due[lead])
            continue;
        int64_t slot = slots[lead];
        const float *inputs = step->inputs + slot * (2 * N_INPUTS + 1);
        double before_kw = (double)last[-step->leads[lead]];
        double errors[N_KINDS][N_STATISTICS], change[N_KINDS][N_STATISTICS], moved[N_KINDS];
        for (int64_t kind = 0; kind < N_KINDS; kind++) {
            int64_t at = lead * N_KINDS + kind;
            double actual_kw = outcome.actual_kw[lead][kind];
            const float *values = step->values + (places[lead] * N_KINDS + kind) * N_PENDING;
            add_scores(step->sums + row * 2 * n * N_SUMS, at, n, values + 2 * N_STATISTICS, actual_kw, before_kw,
                       outcome.window_kw[lead]);
            learn_width(step, row, at, values, actual_kw, scale_kw, errors[kind], change[kind]);
            moved[kind] = (actual_kw - before_kw) / scale_kw;
        }
        int64_t first = row * n + lead * N_KINDS;
        update_coefficients(step->coefficients + first * N_STATISTICS * N_INPUTS, step->inside + first, inputs, errors[0],
                            step->n_outcomes[row * k + lead]);
        update_choices(step->share_gains + row * 2 * n * N_STATISTICS * N_CHOICES, errors[0], change[0], moved,
                       step->leads[lead], lead, k);
        newest[lead] = errors[1][0];
        step->n_outcomes[row * k + lead] += 1.0;
    }
    for (int64_t i = 0; i < N_RECENT; i++) {
        int64_t lead = step->recent_leads[i];
        double error = min_of(max_of(newest[lead], -MOST_RECENT), MOST_RECENT);
        if (is_due[lead])
            recent[i] += 1.0 / RECENT_MIN[i] * (error - recent[i]);
    }
}

static void learn_reading(struct outlook_step *step, int64_t entry, const float *last)
{
    int64_t row = step->rows[entry], bin = step->local[entry] / USUAL_BIN_MIN;
    double *seen = step->seen + row * N_OF_SEEN, last_kw = (double)last[0];
    seen[SEEN_SCALE] = updated_scale_kw(seen[SEEN_SCALE], last_kw - (double)last[-SCALE_MIN], seen[SEEN_READINGS]);
    seen[SEEN_READINGS] += 1.0;
    seen[SEEN_LOWEST] = min_of(seen[SEEN_LOWEST], last_kw);
    update_lowest_powers(step->lowest_powers + row * N_LOWEST, last_kw);
    update_profile(step->usual + row * 2 * N_USUAL_BINS + bin, N_USUAL_BINS, last_kw);
}

static void store_pending(const struct outlook_step *step, int64_t entry, const int64_t *places)
{
    int64_t row = step->rows[entry], minute = step->minutes[entry], n = step->n_leads * N_KINDS;
    int64_t slot = row * step->n_slots + floor_modulo(minute, step->n_slots);
    float *inputs = step->inputs + slot * (2 * N_INPUTS + 1);
    const float *columns = step->columns + entry * N_INPUTS;
    step->issued_minute[slot] = minute;
    memcpy(inputs, columns, bytes_of(N_INPUTS, sizeof(float)));
    add_inputs(step->covariance + row * N_INPUTS * N_INPUTS, columns, inputs + N_INPUTS, inputs + 2 * N_INPUTS);
    for (int64_t i = 0; i < n; i++) {
        float *values = step->values + (places[i / N_KINDS] * N_KINDS + i % N_KINDS) * N_PENDING;
        const double *base_kw = step->base_kw + (entry * n + i) * N_STATISTICS;
        const double *change = step->change + (entry * n + i) * N_STATISTICS;
        const double *kw = step->kw + (entry * n + i) * N_OF_OUTLOOK;
        for (int64_t j = 0; j < N_STATISTICS; j++) {
            values[j] = (float)base_kw[j];
            values[N_STATISTICS + j] = (float)change[j];
        }
        for (int64_t j = 0; j < N_OF_OUTLOOK; j++)
            values[2 * N_STATISTICS + j] = (float)kw[j];
    }
}

void learn_outlook(struct outlook_step *step, int64_t entry)
{
    int64_t row = step->rows[entry], minute = step->minutes[entry], n = step->n_leads * N_KINDS;
    const float *last = step->windows + (entry + 1) * step->context - 1;
    double *newest = step->seen + row * N_OF_SEEN + SEEN_NEWEST, minutes = (double)minute;
    int64_t places[MAX_LEADS];
    find_places(step, row, minute, places);
    step->newest_entry[row] = -1;
    memcpy(step->log_width + row * n, step->log_width_of + entry * n, bytes_of(n, sizeof(double)));
    if (minutes - *newest > MAX_FILL_MIN + 1 || minutes <= *newest)
        for (int64_t slot = 0; slot < step->n_slots; slot++)
            step->issued_minute[row * step->n_slots + slot] = -1;
    *newest = minutes;
    if (step->is_measured[entry]) {
        learn_outcomes(step, entry, last, places);
        learn_reading(step, entry, last);
    }
    store_pending(step, entry, places);
}

/* Loads the pending outlooks whose outcome is the reading of the entry; they are far apart in memory. */
static void prefetch_pending(const struct outlook_step *step, int64_t entry)
{
    int64_t row = step->rows[entry], newest_slot = floor_modulo(step->minutes[entry], step->n_slots), places[MAX_LEADS];
    find_places(step, row, step->minutes[entry], places);
    for (int64_t lead = 0; lead < step->n_leads; lead++) {
        int64_t slot = row * step->n_slots + slot_before(step, newest_slot, step->leads[lead]);
        const float *inputs = step->inputs + slot * (2 * N_INPUTS + 1);
        const float *values = step->values + places[lead] * N_KINDS * N_PENDING;
        for (int64_t i = 0; i <= 2 * N_INPUTS; i += FLOATS_OF_LINE)
            __builtin_prefetch(inputs + i);
        __builtin_prefetch(values);
        __builtin_prefetch(values + N_PENDING);
    }
}

/* Learns from the entries of the batch [0, n) whose outcomes are not learned yet; returns 0. */
EXPORT int64_t gapcast_outlook_learn(struct outlook_step *step, int64_t n)
{
    if (n > 0)
        prefetch_pending(step, 0);
    for (int64_t entry = 0; entry < n; entry++) {
        if (entry + 1 < n)
            prefetch_pending(step, entry + 1);
        if (step->newest_entry[step->rows[entry]] == entry)
            learn_outlook(step, entry);
    }
    return 0;
}

EXPORT int64_t gapcast_outlook_step_bytes(void) { return (int64_t)sizeof(struct outlook_step); }
