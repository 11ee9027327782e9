/* Published powers and weights of a batch: the formulas of gapcast/core/forecasts/published_powers.py. */

#include <math.h>

#include "ensemble.h"

/* Units of the last published decimal per kW. */
#define STEPS_PER_KW 1e6

struct published {
    /* number of lead times of the path, 0 without a path; number of weights of a forecast, 0 without weights */
    int64_t n_leads, n_weights;
    double low_kw, high_kw;
    /* each lead time divided by the last one [n_leads] */
    const double *leads;
    /* batch: published [N, 4], weights [N, n_weights], the lowest power of the path [N], means of the first model
       [N, n_leads] */
    const double *kw, *weights, *floor_kw;
    const float *path_kw;
    /* result [N, 4 + n_leads + n_weights] */
    double *numbers;
};

static inline double rounded(double kw) { return rint((double)(float)kw * STEPS_PER_KW) / STEPS_PER_KW; }

EXPORT int64_t gapcast_published_powers(const struct published *published, int64_t n)
{
    const int64_t n_leads = published->n_leads, n_weights = published->n_weights;
    const double *kw = published->kw, *weights = published->weights;
    const float *path_kw = published->path_kw;
    double *numbers = published->numbers;
    for (int64_t row = 0; row < n; row++) {
        for (int64_t i = 0; i < N_PUBLISHED; i++)
            numbers[i] = rounded(kw[i]);
        if (n_leads) {
            const double shift_kw = kw[MEAN] - (double)path_kw[n_leads - 1];
            const double low_kw = max_of(published->floor_kw[row], published->low_kw);
            for (int64_t i = 0; i < n_leads - 1; i++) {
                const double corrected_kw = (double)path_kw[i] + shift_kw * published->leads[i];
                const double cut_kw = min_of(max_of(corrected_kw, low_kw), published->high_kw);
                numbers[N_PUBLISHED + i] = rounded(cut_kw);
            }
            numbers[N_PUBLISHED + n_leads - 1] = numbers[MEAN];
        }
        for (int64_t i = 0; i < n_weights; i++)
            numbers[N_PUBLISHED + n_leads + i] = (double)(float)weights[i];
        kw += N_PUBLISHED;
        path_kw += n_leads;
        weights += n_weights;
        numbers += N_PUBLISHED + n_leads + n_weights;
    }
    return n;
}

/* The size of the structure, which Python compares with its own. */
EXPORT int64_t gapcast_published_bytes(void) { return (int64_t)sizeof(struct published); }
