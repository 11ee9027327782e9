/* Published powers of a batch: the formulas of gapcast/core/published_powers.py. */

#include <math.h>

#include "ensemble.h"

/* Steps of the last published decimal in one kW. */
#define STEPS_PER_KW 1e6

struct published {
    /* lead times of the path, or 0 without one */
    int64_t n_leads;
    double low_kw, high_kw;
    /* each lead time as a part of the last [n_leads] */
    const double *leads;
    /* batch: published [N, 4], means of the first model [N, n_leads] */
    const double *kw;
    const float *path_kw;
    /* result [N, 4 + n_leads] */
    double *powers_kw;
};

static inline double rounded(double kw) { return rint((double)(float)kw * STEPS_PER_KW) / STEPS_PER_KW; }

EXPORT int64_t gapcast_published_powers(const struct published *published, int64_t n)
{
    const int64_t n_leads = published->n_leads;
    const double *kw = published->kw;
    const float *path_kw = published->path_kw;
    double *powers_kw = published->powers_kw;
    for (int64_t row = 0; row < n; row++) {
        for (int64_t i = 0; i < N_PUBLISHED; i++)
            powers_kw[i] = rounded(kw[i]);
        if (n_leads) {
            const double shift_kw = kw[MEAN] - (double)path_kw[n_leads - 1];
            for (int64_t i = 0; i < n_leads - 1; i++) {
                const double corrected_kw = (double)path_kw[i] + shift_kw * published->leads[i];
                const double cut_kw = min_of(max_of(corrected_kw, published->low_kw), published->high_kw);
                powers_kw[N_PUBLISHED + i] = rounded(cut_kw);
            }
            powers_kw[N_PUBLISHED + n_leads - 1] = powers_kw[MEAN];
        }
        kw += N_PUBLISHED;
        path_kw += n_leads;
        powers_kw += N_PUBLISHED + n_leads;
    }
    return n;
}

/* The length of the structure, with which Python's is compared. */
EXPORT int64_t gapcast_published_bytes(void) { return (int64_t)sizeof(struct published); }
