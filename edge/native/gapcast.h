/* Definitions shared by all files of the library.

   The calling convention: a function takes the address of a structure and the number of items of a batch, and returns
   a number. The structure has the addresses of arrays that Python allocates, checks and owns; arrays are C-contiguous,
   and have the type of their pointer. The library allocates nothing and
   keeps nothing between two calls. Its only writable data is a scratch matrix (covariance.c), which the interpreter's
   lock protects: the loader uses ctypes.PyDLL, which holds the lock during a call. */

#ifndef GAPCAST_H
#define GAPCAST_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT __attribute__((visibility("default")))

/* For functions that gain from wider registers: the loader picks the variant for the processor. All variants give the
   same digits, because nothing is reassociated or fused. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* Number of values that numpy adds side by side, and the largest number that it adds in one loop. */
#define SUM_LANES 8
#define SUM_BLOCK 128
/* Number of floats in 64 bytes, which processors load together. */
#define FLOATS_OF_LINE 16
/* Power below which a house feeds in, and smallest distance of a bound from the median, kW. */
#define FEEDS_IN_KW (-0.050001)
#define MIN_SPREAD_KW 0.001

/* Returns the sum of `values` in the order in which numpy adds a contiguous axis. */
double pairwise_sum(const double *values, int64_t n);

/* Quotient and remainder that round towards minus infinity, as Python's do. */
static inline int64_t floor_divide(int64_t dividend, int64_t divisor)
{
    return dividend / divisor - (dividend % divisor < 0);
}

static inline int64_t floor_modulo(int64_t dividend, int64_t divisor)
{
    const int64_t remainder = dividend % divisor;
    return remainder < 0 ? remainder + divisor : remainder;
}

/* Like numpy's maximum and minimum: NaN if one of the two is NaN. Compilers vectorise | and not ||. */
static inline double max_of(double a, double b) { return ((a >= b) | (a != a)) ? a : b; }
static inline double min_of(double a, double b) { return ((a <= b) | (a != a)) ? a : b; }
/* The same for a bound that is not NaN: compilers vectorise it. */
static inline double not_below(double a, double bound) { return a < bound ? bound : a; }
static inline double not_above(double a, double bound) { return a > bound ? bound : a; }
static inline float not_below_f(float a, float bound) { return a < bound ? bound : a; }
static inline float not_above_f(float a, float bound) { return a > bound ? bound : a; }
static inline double within(double a, double limit) { return not_below(not_above(a, limit), -limit); }
static inline float max_of_f(float a, float b) { return ((a >= b) | (a != a)) ? a : b; }
static inline float min_of_f(float a, float b) { return ((a <= b) | (a != a)) ? a : b; }
static inline float within_f(float a, float limit) { return max_of_f(min_of_f(a, limit), -limit); }

static inline size_t bytes_of(int64_t n, size_t size) { return (size_t)n * size; }

/* The published columns of a forecast, kW. */
enum { MEAN, MEDIAN, LOWER, UPPER, N_PUBLISHED };

#endif
