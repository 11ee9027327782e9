/* The live scores of outlooks: scores.py of gapcast/core/outlook. */

#include <math.h>

#include "outlook.h"

#define KEPT (1.0 - 1.0 / 1440)
#define LARGEST_KW 1e6
#define LOWER_LEVEL 0.05
#define UPPER_LEVEL 0.95

/* The sum of the losses of the errors is one sum of three terms, like the matrix of the numpy code. */
static double pinball(double error, double level) { return (0.5 - level) * error + fabs(error) / 2; }

/* Adds an outcome to the sums [2, n, sums] of a device, at the lead time and kind `at` of n. */
WIDE void add_scores(double *sums, int64_t at, int64_t n, const float *kw, double actual_kw, double last_kw,
                     double window_kw)
{
    double errors[N_OF_OUTLOOK + 2] = {(double)kw[OF_MEAN], (double)kw[OF_LOWER], (double)kw[OF_MEDIAN],
                                       (double)kw[OF_UPPER], last_kw, window_kw};
    for (int64_t i = 0; i < N_OF_OUTLOOK + 2; i++)
        errors[i] = within(errors[i] - actual_kw, LARGEST_KW);
    double mean = errors[OF_MEAN], lower = errors[OF_LOWER], median = errors[OF_MEDIAN], upper = errors[OF_UPPER];
    double last = errors[N_OF_OUTLOOK], window = errors[N_OF_OUTLOOK + 1];
    double losses = pinball(lower, LOWER_LEVEL) + pinball(median, 0.5) + pinball(upper, UPPER_LEVEL);
    const double added[N_SUMS] = {
        1.0, mean * mean, fabs(median), mean, last * last, fabs(last), window * window, fabs(window),
        losses / 3, lower <= 0.0 && upper >= 0.0 ? 1.0 : 0.0, upper - lower,
    };
    double *restrict all_time = sums + at * N_SUMS, *restrict day = sums + (n + at) * N_SUMS;
    for (int64_t i = 0; i < N_SUMS; i++) {
        all_time[i] += added[i];
        day[i] = day[i] * KEPT + added[i];
    }
}
