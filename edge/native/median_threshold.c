/* The threshold of the median: median_threshold.py. */

#include <math.h>

#include "ensemble.h"

#define THRESHOLD_GAIN 0.1
#define THRESHOLD_SOFT 100.0
#define THRESHOLD_STEP 0.0002
#define LARGEST_THRESHOLD 0.3

double reduced_change(const float *threshold, double change)
{
    double least = min_of((double)threshold[0], LARGEST_THRESHOLD); /* damaged state may have a larger one */
    return copysign(max_of(fabs(change) - least, 0.0), change);
}

void update_median_threshold(float *threshold, double change, double error, int64_t horizon_min)
{
    if (change == 0.0)
        return;
    double towards = change > 0.0 ? error : -error, n_outcomes = (double)threshold[1];
    double root = sqrt(n_outcomes + THRESHOLD_SOFT), by_horizon = min_of((double)NEAR_MIN / (double)horizon_min, 1.0);
    double step = max_of(THRESHOLD_GAIN / (root * sqrt(root)), THRESHOLD_STEP) * by_horizon;
    double moved = (double)threshold[0] + (towards < 0.0 ? step : towards > 0.0 ? -step : 0.0);
    threshold[0] = (float)max_of(min_of(moved, LARGEST_THRESHOLD), 0.0);
    threshold[1] = (float)(n_outcomes + 1.0);
}
