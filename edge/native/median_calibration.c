/* The calibration of the median: median_calibration.py. */

#include <math.h>

#include "ensemble.h"

#define FIRST_CHANGE 0.25
#define PER_OCTAVE 2.0
#define N_SIDE 16
#define LARGEST_CHANGE 64.0
#define KNOT_SOFT 100.0
#define KNOT_STEP 0.003

static double size_of(double change)
{
    return isnan(change) ? FIRST_CHANGE : min_of(max_of(fabs(change), FIRST_CHANGE), LARGEST_CHANGE);
}

/* Returns the knot below `change`, and writes the share of the knot above it. */
static int64_t place_of(double change, double *share)
{
    double position = PER_OCTAVE * log(size_of(change) / FIRST_CHANGE) / log(2.0);
    position = (change < 0.0 ? -position : position) + (double)N_SIDE;
    double lower = max_of(min_of(floor(position), N_KNOTS - 2.0), 0.0);
    *share = position - lower;
    return (int64_t)lower;
}

double median_offset(const float *knots, double change)
{
    double share;
    const float *lower = knots + place_of(change, &share);
    return (1.0 - share) * (double)lower[0] + share * (double)lower[1];
}

void update_median_offsets(float *knots, double change, double error, int64_t horizon_min)
{
    double share, size = size_of(change), by_horizon = min_of((double)NEAR_MIN / (double)horizon_min, 1.0);
    float *lower = knots + place_of(change, &share);
    double direction = error > 0.0 ? size : error < 0.0 ? -size : 0.0, parts[2] = {1.0 - share, share};
    for (int64_t i = 0; i < 2; i++) {
        double n_outcomes = (double)lower[N_KNOTS + i] + parts[i], root = sqrt(n_outcomes + KNOT_SOFT);
        double step = max_of(1.0 / (root * sqrt(root)), KNOT_STEP) * by_horizon;
        lower[i] = (float)((double)lower[i] + parts[i] * step * direction);
        lower[N_KNOTS + i] = (float)n_outcomes;
    }
}
