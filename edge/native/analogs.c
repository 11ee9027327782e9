/* The changes after earlier moments that resemble the newest one: analog_features.py. */

#include <math.h>

#include "ensemble.h"

#define LONGEST_MIN 180
#define N_MEANS 8
#define MEAN_MIN 6
#define DECAY 0.8
#define COURSE_MIN (N_MEANS * MEAN_MIN - 1)
#define CLOSE_WIDTH 0.1
#define MIDDLE_WIDTH 0.25
#define DISTANT_WIDTH 0.6
#define LEAST_SCALES 0.5
#define CHANGE_LIMIT 8.0
#define NO_CHANGE 0.05

WIDE static void write_means(const double *restrict minutes, int64_t n, double *restrict means)
{
    for (int64_t i = 0; i < n; i++)
        means[i] = minutes[i];
    for (int64_t later = 1; later < MEAN_MIN; later++)
        for (int64_t i = 0; i < n; i++)
            means[i] += minutes[i + later];
    for (int64_t i = 0; i < n; i++)
        means[i] /= MEAN_MIN;
}

WIDE static void add_differences(const double *restrict means, const double *restrict moments, double of_newest,
                                 double weight, int64_t n, double *restrict difference)
{
    for (int64_t i = 0; i < n; i++) {
        double apart = means[i] - moments[i] - of_newest;
        difference[i] += weight * (apart * apart);
    }
}

WIDE static void write_kernel(const double *restrict difference, const double *restrict change, double rate, int64_t n,
                              double *restrict kernel, double *restrict weighted)
{
    for (int64_t i = 0; i < n; i++) {
        double value = 1.0 / (1.0 + difference[i] * rate);
        value *= value;
        value *= value;
        kernel[i] = value;
        weighted[i] = value * change[i];
    }
}

/* The window's mean absolute deviation; `values` is overwritten. */
static double deviation_of(const double *minutes, int64_t n, double *values)
{
    double center = pairwise_sum(minutes, n) / (double)n;
    for (int64_t i = 0; i < n; i++)
        values[i] = fabs(minutes[i] - center);
    return pairwise_sum(values, n) / (double)n;
}

void write_analogs(const float *last, int64_t context, int64_t horizon_min, float scale_kw, float *kw)
{
    static const double rates[N_ANALOG_KW] = {
        1.0 / (8.0 * CLOSE_WIDTH * CLOSE_WIDTH),
        1.0 / (8.0 * MIDDLE_WIDTH * MIDDLE_WIDTH),
        1.0 / (8.0 * DISTANT_WIDTH * DISTANT_WIDTH),
    };
    double minutes[LONGEST_MIN], means[LONGEST_MIN], difference[LONGEST_MIN] = {0.0}, change[LONGEST_MIN];
    double kernel[LONGEST_MIN], weighted[LONGEST_MIN];
    int64_t n_minutes = context < LONGEST_MIN ? context : LONGEST_MIN, n_means = n_minutes - MEAN_MIN + 1;
    int64_t n = n_minutes - horizon_min - COURSE_MIN;
    for (int64_t i = 0; i < n_minutes; i++)
        minutes[i] = (double)last[i + 1 - n_minutes];
    const double *moments = minutes + COURSE_MIN;
    write_means(minutes, n_means, means);
    double weight = 1.0, total = 0.0;
    for (int64_t back = 0; back < N_MEANS * MEAN_MIN; back += MEAN_MIN) {
        double of_newest = means[n_means - 1 - back] - minutes[n_minutes - 1];
        add_differences(means + COURSE_MIN - (MEAN_MIN - 1) - back, moments, of_newest, weight, n, difference);
        total += weight;
        weight *= DECAY;
    }
    double spread = deviation_of(minutes, n_minutes, change) + LEAST_SCALES * (double)scale_kw;
    double unit = 1.0 / (total * (spread * spread));
    for (int64_t i = 0; i < n; i++)
        difference[i] *= unit;
    for (int64_t i = 0; i < n; i++)
        change[i] = within((moments[i + horizon_min] - moments[i]) / spread, CHANGE_LIMIT);
    for (int64_t column = 0; column < N_ANALOG_KW; column++) {
        write_kernel(difference, change, rates[column], n, kernel, weighted);
        double mean = pairwise_sum(weighted, n) / (pairwise_sum(kernel, n) + NO_CHANGE);
        kw[column] = (float)(mean * spread);
    }
}
