/* The outlooks of a batch: numpy_outlooks.py and online_outlook.py, with model_outlooks.py and
 * conformal_interval.py. */

#include <math.h>
#include <string.h>

#include "device_statistics.h"
#include "outlook.h"

/* Writes `values` in rising order to `sorted`, NaN last, as numpy sorts. */
static void sort_into(double *sorted, const float *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double value = (double)values[i];
        int64_t at = i;
        for (; at > 0 && (value < sorted[at - 1] || (isnan(sorted[at - 1]) && !isnan(value))); at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = value;
    }
}

/* Clips `values` [n] to the range. */
static void clip(const struct outlook_step *step, double *values, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        values[i] = min_of(max_of(values[i], step->low_kw), step->high_kw);
}

/* Whether a model's `values` [n] include one that is not finite, or further outside the range than it is wide. */
static int are_faulty(const struct outlook_step *step, const double *values, int64_t n)
{
    const double width_kw = step->high_kw - step->low_kw;
    int sound = 1;
    for (int64_t i = 0; i < n; i++)
        sound &= values[i] >= step->low_kw - width_kw && values[i] <= step->high_kw + width_kw;
    return !sound;
}

/* Writes quantiles [Q] between the bounds of `kw`, linear in their places. */
static void spread(const struct outlook_step *step, const double *kw, double *quantiles_kw)
{
    const double *bounds_kw = kw + OF_LOWER;
    for (int64_t i = 0; i < step->n_levels; i++) {
        const double below = (double)(i - step->levels[1]) / (double)(step->levels[1] - step->levels[0]);
        const double above = (double)(i - step->levels[1]) / (double)(step->levels[2] - step->levels[1]);
        if (below < 0.0)
            quantiles_kw[i] = bounds_kw[1] + (bounds_kw[1] - bounds_kw[0]) * max_of(below, -1.0);
        else
            quantiles_kw[i] = bounds_kw[1] + (bounds_kw[2] - bounds_kw[1]) * min_of(above, 1.0);
    }
}

/* Writes the model's outlook `model_kw` [K, 2, 4] of the entry and its quantiles of the means, or persistence. */
static void read_model(const struct outlook_step *step, int64_t entry, double last_kw, double *model_kw)
{
    int64_t k = step->n_leads, n_levels = step->n_levels;
    double *quantiles_kw = step->quantiles_kw + entry * k * n_levels, point_kw[MAX_LEVELS] = {0.0};
    const float *means[N_KINDS] = {step->mean + entry * k, step->mean_to + entry * k};
    for (int64_t lead = 0; lead < k; lead++) {
        int64_t at = (entry * k + lead) * n_levels;
        double *of_means_kw = quantiles_kw + lead * n_levels;
        const double *sorted[N_KINDS] = {point_kw, of_means_kw};
        sort_into(point_kw, step->quantiles + at, n_levels);
        sort_into(of_means_kw, step->quantiles_to + at, n_levels);
        for (int64_t kind = 0; kind < N_KINDS; kind++) {
            double *kw = model_kw + (lead * N_KINDS + kind) * N_OF_OUTLOOK;
            kw[OF_MEAN] = (double)means[kind][lead];
            for (int64_t i = 0; i < N_OF_OUTLOOK - OF_LOWER; i++)
                kw[OF_LOWER + i] = sorted[kind][step->levels[i]];
        }
    }
    if (is_possible_outlook(step, model_kw))
        return;
    if (!are_faulty(step, model_kw, k * N_KINDS * N_OF_OUTLOOK)) {
        clip(step, model_kw, k * N_KINDS * N_OF_OUTLOOK);
        clip(step, quantiles_kw, k * n_levels);
        return;
    }
    persistence_of(step, last_kw, model_kw);
    for (int64_t lead = 0; lead < k; lead++)
        spread(step, model_kw, quantiles_kw + lead * n_levels);
}

/* Writes the bounds around the median of `kw`, for one lead time and kind. */
static void write_bounds(double *kw, const double *model_kw, double *log_width, double floor_kw)
{
    double median_kw = kw[OF_MEDIAN];
    double down = sqrt(max_of(fabs(model_kw[OF_LOWER] - model_kw[OF_MEDIAN]), MIN_SPREAD_KW));
    double up = sqrt(max_of(fabs(model_kw[OF_UPPER] - model_kw[OF_MEDIAN]), MIN_SPREAD_KW));
    if (isnan(*log_width))
        *log_width = log((down * down + up * up) / (down + up));
    double width = exp(*log_width);
    kw[OF_LOWER] = max_of(median_kw - width * down, min_of(floor_kw, median_kw));
    kw[OF_UPPER] = median_kw + width * up;
}

static void correct(const struct outlook_step *step, int64_t entry, const double *model_kw, double scale_kw,
                    double last_kw, double floor_kw)
{
    int64_t row = step->rows[entry], n = step->n_leads * N_KINDS;
    double *kw = step->kw + entry * n * N_OF_OUTLOOK, *change = step->change + entry * n * N_STATISTICS;
    double *log_width = step->log_width_of + entry * n, *base_kw = step->base_kw + entry * n * N_STATISTICS;
    double away_kw[N_STATISTICS] = {0.0};
    int8_t choices[MAX_LEADS * N_KINDS * N_STATISTICS] = {0};
    base_of(step, entry, model_kw, away_kw);
    write_outlook_columns(step, entry, model_kw, away_kw, scale_kw);
    predict_changes(step->coefficients + row * n * N_STATISTICS * N_INPUTS, step->columns + entry * N_INPUTS,
                    n * N_STATISTICS, change);
    best_choices(step, row, choices);
    memcpy(log_width, step->log_width + row * n, bytes_of(n, sizeof(double)));
    for (int64_t i = 0; i < n; i++) {
        double *one = kw + i * N_OF_OUTLOOK, centres_kw[N_STATISTICS];
        for (int64_t j = 0; j < N_STATISTICS; j++) {
            int64_t at = i * N_STATISTICS + j;
            change[at] = within(change[at], COLUMN_LIMIT);
            centres_kw[j] = centre_of(choices[at], base_kw[at], change[at] * scale_kw, last_kw);
        }
        one[OF_MEAN] = centres_kw[0];
        one[OF_MEDIAN] = max_of(centres_kw[1], floor_kw);
        write_bounds(one, model_kw + i * N_OF_OUTLOOK, log_width + i, floor_kw);
    }
}

static void reset_row(const struct outlook_step *step, int64_t row)
{
    int64_t k = step->n_leads, n = k * N_KINDS, n_slots = step->n_slots;
#define RESET(array, size)                                                                                    \
    memcpy(step->array + row * (size), step->array, bytes_of((size), sizeof *step->array))
    RESET(seen, N_OF_SEEN);
    RESET(lowest_powers, N_LOWEST);
    RESET(log_width, n);
    RESET(n_outcomes, k);
    RESET(recent, N_RECENT);
    RESET(coefficients, n * N_STATISTICS * N_INPUTS);
    RESET(covariance, N_INPUTS * N_INPUTS);
    RESET(inside, n);
    RESET(share_gains, 2 * n * N_STATISTICS * N_CHOICES);
    RESET(usual, 2 * N_USUAL_BINS);
    RESET(sums, 2 * n * N_SUMS);
    RESET(newest_kw, n * N_OF_OUTLOOK);
    RESET(newest_when, 2);
    RESET(issued_minute, n_slots);
    RESET(inputs, n_slots * (2 * N_INPUTS + 1));
    RESET(values, step->n_places * N_KINDS * N_PENDING);
#undef RESET
}

/* Replaces an impossible outlook by persistence aligned with the forecast, and resets the device's state. */
static void replace_impossible(const struct outlook_step *step, int64_t entry, double last_kw)
{
    int64_t n = step->n_leads * N_KINDS;
    double *kw = step->kw + entry * n * N_OF_OUTLOOK, *base_kw = step->base_kw + entry * n * N_STATISTICS;
    persistence_of(step, last_kw, kw);
    for (int64_t i = 0; i < n; i++) {
        base_kw[i * N_STATISTICS] = kw[i * N_OF_OUTLOOK + OF_MEAN];
        base_kw[i * N_STATISTICS + 1] = kw[i * N_OF_OUTLOOK + OF_MEDIAN];
        step->log_width_of[entry * n + i] = NAN;
    }
    align(step, entry, kw[OF_LOWER]);
    memset(step->columns + entry * N_INPUTS, 0, bytes_of(N_INPUTS, sizeof(float)));
    memset(step->change + entry * n * N_STATISTICS, 0, bytes_of(n * N_STATISTICS, sizeof(double)));
    reset_row(step, step->rows[entry]);
}

static void make_outlook(const struct outlook_step *step, int64_t entry)
{
    int64_t row = step->rows[entry], n = step->n_leads * N_KINDS;
    const double *seen = step->seen + row * N_OF_SEEN;
    double last_kw = (double)step->windows[(entry + 1) * step->context - 1], model_kw[MAX_LEADS * N_KINDS * N_OF_OUTLOOK];
    double *kw = step->kw + entry * n * N_OF_OUTLOOK;
    double floor_kw = power_floor_kw(step->lowest_powers + row * N_LOWEST, seen[SEEN_LOWEST], last_kw, step->min_kw);
    step->floor_kw[entry] = floor_kw;
    read_model(step, entry, last_kw, model_kw);
    correct(step, entry, model_kw, seen[SEEN_SCALE], last_kw, floor_kw);
    align(step, entry, floor_kw);
    if (!is_possible_outlook(step, kw))
        replace_impossible(step, entry, last_kw);
    memcpy(step->newest_kw + row * n * N_OF_OUTLOOK, kw, bytes_of(n * N_OF_OUTLOOK, sizeof(double)));
    step->newest_when[2 * row] = step->minutes[entry];
    step->newest_when[2 * row + 1] = step->issued_at_ms;
}

/* Makes the outlooks of the entries [0, n); each reading of a device is learned from before its next one. Returns 0. */
EXPORT int64_t gapcast_outlook(struct outlook_step *step, int64_t n)
{
    for (int64_t entry = 0; entry < n; entry++) {
        int32_t *newest = step->newest_entry + step->rows[entry];
        if (*newest >= 0)
            learn_outlook(step, *newest);
        *newest = (int32_t)entry;
        make_outlook(step, entry);
    }
    return 0;
}
