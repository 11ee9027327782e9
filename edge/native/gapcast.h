/* What all files of the library share. */

#ifndef GAPCAST_H
#define GAPCAST_H

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* Returns the sum of `values` in the order in which numpy adds a contiguous axis. */
double pairwise_sum(const double *values, int64_t n);

#endif
