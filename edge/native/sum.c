/* Sums with the same digits as numpy: numpy/_core/src/umath/loops_utils.h.src, pairwise summation (N. Higham, The
   accuracy of floating point summation, SIAM J. Sci. Comput. 14, 1993). */

#include "gapcast.h"

double pairwise_sum(const double *values, int64_t n)
{
    if (n < SUM_LANES) {
        double sum = 0.0;
        for (int64_t i = 0; i < n; i++)
            sum += values[i];
        return sum;
    }
    if (n > SUM_BLOCK) {
        int64_t half = n / 2 - n / 2 % SUM_LANES;
        return pairwise_sum(values, half) + pairwise_sum(values + half, n - half);
    }
    double lanes[SUM_LANES];
    int64_t i = SUM_LANES;
    for (int64_t lane = 0; lane < SUM_LANES; lane++)
        lanes[lane] = values[lane];
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int64_t lane = 0; lane < SUM_LANES; lane++)
            lanes[lane] += values[i + lane];
    double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    for (; i < n; i++)
        sum += values[i];
    return sum;
}
