/* The correction of the mean: mean_correction.py. */

#include <math.h>

#include "ensemble.h"

#define FIRST_CHANGE 0.25
#define FACTOR 2.0
#define N_SIDE 8
#define LARGEST_CHANGE 64.0
#define ENTRY_SOFT 200.0
#define ENTRY_STEP 0.002
#define ERROR_LIMIT 25.0
#define N_CORNERS 8
/* Indices into the levels. */
#define ACTIVITY 0
#define RISE 1

/* Returns the index below `position`, of n, and writes the shares of this entry and of the next one. */
static int64_t between(double position, int64_t n, double shares[2])
{
    double in_range = isnan(position) ? 0.0 : max_of(min_of(position, (double)n - 1.0), 0.0);
    double lower = min_of(floor(in_range), (double)n - 2.0);
    shares[1] = in_range - lower;
    shares[0] = 1.0 - shares[1];
    return (int64_t)lower;
}

/* Writes the entries around a forecast, and their shares [8]. */
static void find_corners(double change, const double *levels, int64_t *entries, double *shares)
{
    double size = isnan(change) ? FIRST_CHANGE : min_of(max_of(fabs(change), FIRST_CHANGE), LARGEST_CHANGE);
    double position = log(size / FIRST_CHANGE) / log(FACTOR), by_knot[2], by_rise[2], by_activity[2];
    int64_t knot = between((change < 0.0 ? -position : position) + (double)N_SIDE, N_MEAN_KNOTS, by_knot);
    int64_t rise = between(levels[RISE], N_LEVELS, by_rise);
    int64_t activity = between(levels[ACTIVITY], N_LEVELS, by_activity);
    for (int64_t corner = 0; corner < N_CORNERS; corner++) {
        int64_t up[3] = {corner >> 2, corner >> 1 & 1, corner & 1};
        entries[corner] = ((knot + up[0]) * N_LEVELS + rise + up[1]) * N_LEVELS + activity + up[2];
        shares[corner] = by_knot[up[0]] * by_rise[up[1]] * by_activity[up[2]];
    }
}

double mean_offset(const float *table, double change, const double *levels)
{
    int64_t entries[N_CORNERS];
    double shares[N_CORNERS], offset = 0.0;
    find_corners(change, levels, entries, shares);
    for (int64_t corner = 0; corner < N_CORNERS; corner++)
        offset += shares[corner] * (double)table[entries[corner]];
    return offset;
}

void update_mean_offsets(float *table, double change, const double *levels, double error, int64_t horizon_min)
{
    int64_t entries[N_CORNERS];
    double shares[N_CORNERS], by_horizon = min_of((double)NEAR_MIN / (double)horizon_min, 1.0);
    double remaining = isnan(error) ? 0.0 : within(error, ERROR_LIMIT);
    find_corners(change, levels, entries, shares);
    for (int64_t corner = 0; corner < N_CORNERS; corner++) {
        float *offset = table + entries[corner], *n_outcomes = offset + N_MEAN_ENTRIES;
        double n = (double)*n_outcomes + shares[corner];
        double step = max_of(1.0 / (n + ENTRY_SOFT), ENTRY_STEP) * by_horizon;
        *offset = (float)((double)*offset + shares[corner] * step * remaining);
        *n_outcomes = (float)n;
    }
}
