/* What all files of the library share. */

#ifndef GAPCAST_H
#define GAPCAST_H

#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* For functions that gain from wider registers: the loader picks the variant that the processor has. All give the same
   digits, because nothing is reassociated or fused. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* Returns the sum of `values` in the order in which numpy adds a contiguous axis. */
double pairwise_sum(const double *values, int64_t n);

#endif
