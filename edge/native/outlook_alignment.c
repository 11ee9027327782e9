/* The alignment of outlooks with the published forecasts: forecast_alignment.py and reconciliation.py. */

#include <math.h>
#include <string.h>

#include "outlook.h"

#define INTERVAL_KW 0.4
/* Number of rows of the largest matrix: mean and median of both kinds at each lead time. */
#define MAX_ROWS (MAX_LEADS * N_KINDS * N_STATISTICS)

/* The product of a matrix [n_rows, n], stored by columns, and a vector: row by row, with sums in numpy's order. */
WIDE static void times(const double *restrict columns, const double *restrict values, int64_t n_rows, int64_t n,
                       double *restrict product)
{
    double lanes[SUM_LANES][MAX_ROWS];
    int64_t i = 0;
    for (int64_t row = 0; row < n_rows; row++)
        product[row] = 0.0;
    if (n >= SUM_LANES) {
        for (; i < SUM_LANES; i++)
            for (int64_t row = 0; row < n_rows; row++)
                lanes[i][row] = values[i] * columns[i * n_rows + row];
        for (; i + SUM_LANES <= n; i += SUM_LANES)
            for (int64_t lane = 0; lane < SUM_LANES; lane++)
                for (int64_t row = 0; row < n_rows; row++)
                    lanes[lane][row] += values[i + lane] * columns[(i + lane) * n_rows + row];
        for (int64_t row = 0; row < n_rows; row++)
            product[row] = ((lanes[0][row] + lanes[1][row]) + (lanes[2][row] + lanes[3][row])) +
                           ((lanes[4][row] + lanes[5][row]) + (lanes[6][row] + lanes[7][row]));
    }
    for (; i < n; i++)
        for (int64_t row = 0; row < n_rows; row++)
            product[row] += values[i] * columns[i * n_rows + row];
}

/* Writes persistence to the outlook `kw` [K, 2, 4]. */
void persistence_of(const struct outlook_step *step, double last_kw, double *kw)
{
    double mean_kw = min_of(max_of(last_kw, step->low_kw), step->high_kw);
    double lowest_kw = mean_kw < FEEDS_IN_KW ? step->low_kw : min_of(mean_kw, 0.0);
    double lower_kw = max_of(mean_kw - INTERVAL_KW, lowest_kw), upper_kw = min_of(mean_kw + INTERVAL_KW, step->high_kw);
    for (int64_t i = 0; i < step->n_leads * N_KINDS; i++, kw += N_OF_OUTLOOK) {
        kw[OF_MEAN] = kw[OF_MEDIAN] = mean_kw;
        kw[OF_LOWER] = lower_kw;
        kw[OF_UPPER] = upper_kw;
    }
}

/* Writes the base of the entry: mean and median of the model's outlook, shifted by the published forecast. `away_kw`
   [2] is the difference of the published forecast from the model at the horizon. */
void base_of(const struct outlook_step *step, int64_t entry, const double *model_kw, double *away_kw)
{
    int64_t k = step->n_leads, n_fixed = step->n_fixed, n_away = n_fixed + N_STATISTICS;
    const double *path_kw = step->path_kw + entry * n_fixed, *horizon_kw = step->horizon_kw + entry * 3;
    double *base_kw = step->base_kw + entry * k * N_KINDS * N_STATISTICS;
    double away[MAX_LEADS + N_STATISTICS] = {0.0}, shift_kw[MAX_LEADS * N_KINDS * N_STATISTICS] = {0.0};
    for (int64_t i = 0; i < n_fixed; i++)
        away[i] = path_kw[i] - model_kw[step->fixed[i] * N_KINDS * N_OF_OUTLOOK + OF_MEAN];
    if (step->horizon >= 0) {
        double median_kw = horizon_kw[1] - model_kw[step->horizon * N_KINDS * N_OF_OUTLOOK + OF_MEDIAN];
        away[n_fixed] = away[n_fixed - 1];
        away[n_fixed + 1] = isnan(median_kw) ? away[n_fixed] : median_kw;
    }
    times(step->shift, away, k * N_KINDS * N_STATISTICS, n_away, shift_kw);
    for (int64_t i = 0; i < k * N_KINDS; i++) {
        base_kw[2 * i] = model_kw[i * N_OF_OUTLOOK + OF_MEAN] + shift_kw[2 * i];
        base_kw[2 * i + 1] = model_kw[i * N_OF_OUTLOOK + OF_MEDIAN] + shift_kw[2 * i + 1];
    }
    memcpy(away_kw, away + n_fixed, N_STATISTICS * sizeof(double));
}

/* Makes the means one path of minutes, with the published minutes fixed. */
static void reconcile(const struct outlook_step *step, const double *path_kw, double *kw, double floor_kw)
{
    int64_t k = step->n_leads, n_free = step->n_free;
    double all_kw[N_KINDS * MAX_LEADS] = {0.0}, free_kw[MAX_LEADS] = {0.0}, means_kw[MAX_LEADS] = {0.0};
    for (int64_t lead = 0; lead < k; lead++)
        for (int64_t kind = 0; kind < N_KINDS; kind++)
            all_kw[kind * k + lead] = kw[(lead * N_KINDS + kind) * N_OF_OUTLOOK + OF_MEAN];
    for (int64_t i = 0; i < step->n_fixed; i++)
        all_kw[step->fixed[i]] = path_kw[i];
    times(step->free_of, all_kw, n_free, N_KINDS * k, free_kw);
    for (int64_t i = 0; i < n_free; i++)
        all_kw[step->free[i]] = min_of(max_of(free_kw[i], floor_kw), step->high_kw);
    times(step->means_of, all_kw, k, k, means_kw);
    for (int64_t lead = 0; lead < k; lead++) {
        kw[lead * N_KINDS * N_OF_OUTLOOK + OF_MEAN] = all_kw[lead];
        kw[(lead * N_KINDS + 1) * N_OF_OUTLOOK + OF_MEAN] = means_kw[lead];
    }
}

/* Writes the published lower bound, median and upper bound to `kw` [3]; quantiles that the forecast lacks (NaN) are
   moved to keep their order. */
static void restore_quantiles(const double *published_kw, double *kw)
{
    for (int64_t i = 0; i < 3; i++)
        if (!isnan(published_kw[i]))
            kw[i] = published_kw[i];
    if (isnan(published_kw[1]))
        kw[1] = min_of(max_of(kw[1], kw[0]), kw[2]);
    if (isnan(published_kw[0]))
        kw[0] = min_of(kw[0], kw[1]);
    if (isnan(published_kw[2]))
        kw[2] = max_of(kw[2], kw[1]);
}

/* Writes the published values to the outlook `kw` [K, 2, 4] of the entry. */
static void restore_published(const struct outlook_step *step, int64_t entry, double *kw)
{
    const double *path_kw = step->path_kw + entry * step->n_fixed, *horizon_kw = step->horizon_kw + entry * 3;
    for (int64_t i = 0; i < step->n_fixed; i++)
        kw[step->fixed[i] * N_KINDS * N_OF_OUTLOOK + OF_MEAN] = path_kw[i];
    if (step->horizon >= 0)
        restore_quantiles(horizon_kw, kw + step->horizon * N_KINDS * N_OF_OUTLOOK + OF_LOWER);
    if (step->has_one)
        memcpy(kw + N_OF_OUTLOOK, kw, N_OF_OUTLOOK * sizeof(double));
}

/* Makes the outlook of the entry consistent. */
void align(const struct outlook_step *step, int64_t entry, double floor_kw)
{
    int64_t n = step->n_leads * N_KINDS;
    double *kw = step->kw + entry * n * N_OF_OUTLOOK;
    reconcile(step, step->path_kw + entry * step->n_fixed, kw, floor_kw);
    for (double *one = kw; one < kw + n * N_OF_OUTLOOK; one += N_OF_OUTLOOK) {
        for (int64_t column = 0; column < N_OF_OUTLOOK; column++)
            if (one[column] > step->high_kw && isfinite(one[column]))
                one[column] = step->high_kw;
        double inner_kw = max_of(one[OF_MEAN], floor_kw);
        one[OF_LOWER] = min_of(one[OF_LOWER], inner_kw);
        one[OF_UPPER] = max_of(one[OF_UPPER], inner_kw);
    }
    restore_published(step, entry, kw);
}

/* Whether all values are in range, and the bounds enclose the median; comparisons with NaN are false. */
int is_possible_outlook(const struct outlook_step *step, const double *kw)
{
    double low_kw = step->low_kw, high_kw = step->high_kw;
    int possible = 1;
    for (int64_t i = 0; i < step->n_leads * N_KINDS; i++, kw += N_OF_OUTLOOK) {
        possible &= low_kw <= kw[OF_MEAN] && kw[OF_MEAN] <= high_kw && low_kw <= kw[OF_LOWER];
        possible &= kw[OF_LOWER] <= kw[OF_MEDIAN] && kw[OF_MEDIAN] <= kw[OF_UPPER] && kw[OF_UPPER] <= high_kw;
    }
    return possible;
}
