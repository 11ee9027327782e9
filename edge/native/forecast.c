/* The forecasts of a batch: member_combination.py, with daily_profile.py and conformal_interval.py. */

#include <math.h>

#include "device_statistics.h"
#include "ensemble.h"

#define LARGEST_SHARE (1.0 + 1e-9)

static double root_of(double spread_kw) { return sqrt(max_of(spread_kw, MIN_SPREAD_KW)); }

static void write_bounds(const struct step *step, int64_t entry, double scale_kw, double floor_kw)
{
    double *kw = step->kw + entry * N_PUBLISHED, log_width = step->log_width[entry];
    double down = root_of(2.0 * scale_kw), up = down;
    if (step->has_bounds) {
        const float *outputs = step->outputs + entry * step->n_outputs;
        double inner_kw = step->members_kw[(entry * 2 + 1) * step->n_members];
        down = root_of(fabs((double)outputs[step->outer_at[0]] - inner_kw));
        up = root_of(fabs((double)outputs[step->outer_at[1]] - inner_kw));
    }
    if (isnan(log_width))
        step->log_width[entry] = log_width = log((down * down + up * up) / (down + up));
    double width = exp(log_width);
    double median_kw = step->combined_median_kw[entry];
    kw[LOWER] = min_of(max_of(median_kw - width * down, min_of(floor_kw, median_kw)), kw[MEDIAN]);
    kw[UPPER] = max_of(median_kw + width * up, kw[MEDIAN]);
}

/* Whether a forecast can be published; comparisons with NaN are false. */
static int is_possible(const struct step *step, int64_t entry)
{
    const double *kw = step->kw + entry * N_PUBLISHED, *shares = step->shares + entry * 2 * step->n_members;
    double low_kw = step->low_kw, high_kw = step->high_kw;
    int possible = low_kw <= kw[MEAN] && kw[MEAN] <= high_kw && low_kw <= kw[LOWER] && kw[LOWER] <= kw[MEDIAN] &&
                   kw[MEDIAN] <= kw[UPPER] && kw[UPPER] <= high_kw;
    for (int64_t i = 0; i < 2 * step->n_members; i++)
        possible = possible && shares[i] >= 0.0 && shares[i] <= LARGEST_SHARE;
    return possible;
}

/* Writes the members that are models; a model without a median has its mean in place of it. */
static void write_models(const struct step *step, const float *outputs, double *members_kw)
{
    for (int64_t i = 0; i < step->n_models; i++) {
        members_kw[i] = (double)outputs[step->means_at[i]];
        members_kw[step->n_members + i] = (double)outputs[step->medians_at[i]];
    }
}

static int forecast_entry(const struct step *step, int64_t entry)
{
    int64_t row = step->rows[entry], n_members = step->n_members, width = step->width, learned = step->n_models;
    const double *seen = step->seen + row * N_SEEN;
    const float *usual = step->usual + row * 2 * N_BINS, *coefficients = step->coefficients + row * 2 * width;
    const float *window = step->windows + entry * step->context, *columns = step->columns + entry * width;
    double *members_kw = step->members_kw + entry * 2 * n_members, *shares = step->shares + entry * 2 * n_members;
    double *kw = step->kw + entry * N_PUBLISHED, *levels = step->levels + entry * N_QUANTITIES;
    double last_kw = (double)window[step->context - 1], scale_kw = seen[SCALE];
    double floor_kw = power_floor_kw(step->lowest_powers + row * N_LOWEST, seen[LOWEST], last_kw, step->min_kw);
    int64_t bin = step->bins[2 * entry + 1];
    step->scale_kw[entry] = scale_kw;
    step->log_width[entry] = seen[LOG_WIDTH];
    step->floor_kw[entry] = floor_kw;
    write_models(step, step->outputs + entry * step->n_outputs, members_kw);
    double phase_kw = 0.0;
    if (step->n_phases)
        phase_kw = phase_change_kw(step, row, window + step->context - 1, step->context - step->horizon_min);
    write_columns(step, entry, scale_kw, usual[N_BINS + bin] > 0.0f ? (double)usual[bin] : last_kw, phase_kw);
    for (int64_t side = 0; side < 2; side++) {
        double *own_kw = members_kw + side * n_members;
        double change = within(rls_product(coefficients + side * width, columns, width), RLS_LIMIT);
        own_kw[learned] = max_of(last_kw + change * scale_kw, floor_kw);
        if (step->refit >= 0)
            own_kw[step->refit] = isnan(own_kw[step->refit]) ? own_kw[learned] : max_of(own_kw[step->refit], floor_kw);
        own_kw[n_members - 1] = last_kw;
    }
    double memberships[N_SITUATIONS];
    double predicted_kw = members_kw[n_members - 2] - last_kw;
    levels_of(step, window, predicted_kw, scale_kw, levels);
    memberships_of(levels, memberships);
    weights_of(step->specialists + row * 2 * N_SITUATIONS * n_members, memberships, n_members, shares);
    for (int64_t side = 0; side < 2; side++) {
        double parts_kw[MAX_MEMBERS] = {0.0};
        for (int64_t member = 0; member < n_members; member++)
            parts_kw[member] = shares[side * n_members + member] * members_kw[side * n_members + member];
        kw[side] = max_of(pairwise_sum(parts_kw, n_members), floor_kw);
    }
    double correction = mean_offset(step->mean_correction + row * 2 * N_MEAN_ENTRIES, predicted_kw / scale_kw, levels);
    kw[MEAN] = max_of(kw[MEAN] + correction * scale_kw, floor_kw);
    double offset = median_offset(step->median_calibration + row * 2 * N_KNOTS, (kw[MEAN] - last_kw) / scale_kw);
    kw[MEDIAN] = max_of(kw[MEDIAN] + offset * scale_kw, floor_kw);
    step->combined_median_kw[entry] = kw[MEDIAN];
    double change = reduced_change(step->median_threshold + row * 2, (kw[MEDIAN] - last_kw) / scale_kw);
    kw[MEDIAN] = max_of(last_kw + change * scale_kw, floor_kw); /* again, because the sum is rounded */
    write_bounds(step, entry, scale_kw, floor_kw);
    return is_possible(step, entry);
}

/* Forecasts the entries from step->first to n (exclusive); each reading of a device is learned from before its next
   one. Returns the first entry whose forecast is impossible, which the caller replaces before it continues, or n. */
EXPORT int64_t gapcast_forecast(struct step *step, int64_t n)
{
    for (int64_t entry = step->first; entry < n; entry++) {
        int64_t row = step->rows[entry];
        if (row > 0) {
            if (step->newest_entry[row] >= 0)
                learn_from_entry(step, step->newest_entry[row]);
            step->newest_entry[row] = (int32_t)entry;
        }
        if (!forecast_entry(step, entry))
            return entry;
    }
    return n;
}
