/* What forecasts and outlooks learn of a device by the same formulas: daily_profile.py, error_scale.py,
   conformal_interval.py, power_floor.py, and the median's step and the decay of rls_model.py and boa_weights.py. */

#ifndef DEVICE_STATISTICS_H
#define DEVICE_STATISTICS_H

#include <math.h>

#include "gapcast.h"

#define N_USUAL 600.0f
#define FLOOR_BLOCK 40320.0f
#define FLOOR_FIRST_DAY 1440.0f
#define UNKNOWN_KW 1e6f
#define SCALE_FIRST_N 600.0
#define SCALE_N 100000.0
#define SCALE_LIMIT 12.0
#define FIRST_SCALE_KW 0.2
#define SMALL_SCALE_KW 0.06
#define MIN_SCALE_KW 0.005
#define MISSES (1.0 - 0.9)
#define SMALLEST_STEP 0.01
#define FIRST_STEP 2.0
#define SOFT 20.0
#define LOWEST_LOG_WIDTH (-5.0)
#define HIGHEST_LOG_WIDTH 5.0
#define HALF_LIFE_MIN 20160.0
#define SMALL_ERROR 0.3
#define SHARE_N 1000.0
#define SHARE_FIRST_N 20.0
#define MIN_SHARE 0.02
#define MEDIAN_GAIN 8.0
#define MEDIAN_GAIN_N 2000.0

/* The lowest power of the newest block of readings and of the one before, and the number of readings of the newest. */
enum { NEWEST_BLOCK, BLOCK_BEFORE, BLOCK_READINGS, N_LOWEST };

/* Returns the lowest power of forecasts; `lowest_kw` is the lowest power ever, at most 0. */
static inline double power_floor_kw(const float *powers, double lowest_kw, double last_kw, double min_kw)
{
    int is_known = powers[BLOCK_READINGS] >= FLOOR_FIRST_DAY || powers[BLOCK_BEFORE] < UNKNOWN_KW;
    double recent_kw = min_of((double)min_of_f(powers[NEWEST_BLOCK], powers[BLOCK_BEFORE]), last_kw);
    lowest_kw = min_of(lowest_kw, last_kw);
    if (lowest_kw < FEEDS_IN_KW)
        return min_kw;
    return is_known && recent_kw > 0.0 ? recent_kw : min_of(lowest_kw, 0.0);
}

static inline void update_lowest_powers(float *powers, double last_kw)
{
    float kw = (float)last_kw;
    if (powers[BLOCK_READINGS] >= FLOOR_BLOCK) {
        powers[BLOCK_BEFORE] = powers[NEWEST_BLOCK];
        powers[NEWEST_BLOCK] = kw;
        powers[BLOCK_READINGS] = 0.0f;
    }
    powers[NEWEST_BLOCK] = min_of_f(powers[NEWEST_BLOCK], kw);
    powers[BLOCK_READINGS] += 1.0f;
}

/* Updates the usual power of a time of day: `usual` is its mean; its number of readings is `n_bins` elements later. */
static inline void update_profile(float *usual, int64_t n_bins, double last_kw)
{
    float n = min_of_f(usual[n_bins] + 1.0f, N_USUAL), mean_kw = usual[0];
    usual[0] = (float)((double)mean_kw + (last_kw - (double)mean_kw) / (double)n);
    usual[n_bins] = n;
}

/* Returns the error scale after a change of the power; there were `n_before` changes before it. */
static inline double updated_scale_kw(double scale_kw, double change_kw, double n_before)
{
    double limit_kw = SCALE_LIMIT * (scale_kw < SMALL_SCALE_KW ? FIRST_SCALE_KW : scale_kw);
    double size_kw = min_of(fabs(change_kw), limit_kw);
    double moved_kw = (size_kw > 0.0 ? size_kw - scale_kw : 0.0) / min_of(n_before + SCALE_FIRST_N, SCALE_N);
    return max_of(scale_kw + moved_kw, MIN_SCALE_KW);
}

/* Returns the logarithm of an interval's width after the outcome `actual_kw`; there were `n_before` outcomes before
   it. */
static inline double updated_log_width(double log_width, double lower_kw, double upper_kw, double actual_kw, double n_before)
{
    double missed = actual_kw < lower_kw || actual_kw > upper_kw ? 1.0 : 0.0;
    double moved = log_width + max_of(FIRST_STEP / (n_before + SOFT), SMALLEST_STEP) * (missed - MISSES);
    return max_of(min_of(moved, HIGHEST_LOG_WIDTH), LOWEST_LOG_WIDTH);
}

/* Returns the factor by which regrets and gains decay per outcome. */
static inline float outcome_decay(void)
{
    return (float)exp2(-1.0 / HALF_LIFE_MIN);
}

/* Returns the share of the median's small errors after an `error`, which is `small` when clipped to SMALL_ERROR; there
   were `n_before` outcomes before it. */
static inline float updated_share(float share, double error, double small, double n_before)
{
    double step = 1.0 / min_of(n_before + SHARE_FIRST_N, SHARE_N);
    return share + (float)(step * (double)((small == error ? 1.0f : 0.0f) - share));
}

/* Returns the gain of the median after `n_outcomes` outcomes. */
static inline double median_gain(double n_outcomes)
{
    return 1.0 + (MEDIAN_GAIN - 1.0) * n_outcomes / (n_outcomes + MEDIAN_GAIN_N);
}

#endif
