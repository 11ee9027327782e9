/* The online model: rls_model.py. */

#include <math.h>
#include <string.h>

#include "device_statistics.h"
#include "ensemble.h"

#define PRIOR 0.002f
#define LARGEST_VARIANCE ((float)(0.002 * 1.01))
#define N_CHECKED 4096.0
#define MAX_BLOCK (MAX_WIDTH / N_BLOCKS)

/* The sum of the products, in the order of pairwise_sum for one block, without storing them. */
static inline __attribute__((always_inline)) double sum_of_products(const float *a, const double *b, int64_t n)
{
    if (n < SUM_LANES || n > SUM_BLOCK) {
        double products[MAX_WIDTH] = {0.0};
        for (int64_t i = 0; i < n; i++)
            products[i] = (double)a[i] * b[i];
        return pairwise_sum(products, n);
    }
    double lanes[SUM_LANES];
    int64_t i = SUM_LANES;
    for (int64_t lane = 0; lane < SUM_LANES; lane++)
        lanes[lane] = (double)a[lane] * b[lane];
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int64_t lane = 0; lane < SUM_LANES; lane++)
            lanes[lane] += (double)a[i + lane] * b[i + lane];
    double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
    for (; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

double rls_product(const float *coefficients, const float *columns, int64_t width)
{
    double products[MAX_WIDTH] = {0.0};
    for (int64_t i = 0; i < width; i++)
        products[i] = (double)coefficients[i] * (double)columns[i];
    return pairwise_sum(products, width);
}

/* Writes the blocks of `values` [5, size] that row `row` of blocks stores, consecutively and without padding. Returns
   the number of values. */
static int64_t gather(const float *values, int64_t row, int64_t size, int64_t n_columns, float *stored)
{
    int64_t n_stored = 0;
    for (int64_t i = 0; i < N_STORED; i++) {
        int64_t n = columns_of(row + i, size, n_columns);
        for (int64_t k = 0; k < n; k++)
            stored[n_stored++] = values[(row + i) % N_BLOCKS * size + k];
    }
    return n_stored;
}

/* Writes `n` values, then zeros up to `n_padded`; returns the address after the values, and reads nothing from `end`
   on. The last lanes may exceed `n`: what they write after `n_padded` is overwritten by the values that belong
   there. */
static inline __attribute__((always_inline)) const float *copy(float *target, const float *values, int64_t n,
                                                               int64_t n_padded, const float *end)
{
    int64_t k = 0;
    for (; k < n && end - values >= k + SUM_LANES; k += SUM_LANES)
        for (int64_t lane = 0; lane < SUM_LANES; lane++)
            target[k + lane] = values[k + lane];
    for (; k < n; k++)
        target[k] = values[k];
    for (k = n; k < n_padded; k++)
        target[k] = 0.0f;
    return values + n;
}

/* Writes the row of blocks `row` as rows [n, 3 size], where n is its number of columns without padding, from `packed`,
   and some lanes more; returns the packed values after it. */
static inline __attribute__((always_inline)) const float *unpack(const float *packed, const float *end, int64_t row,
                                                                 int64_t size, int64_t n_columns, float *rows)
{
    int64_t n_own = columns_of(row, size, n_columns), n_next = columns_of(row + 1, size, n_columns);
    int64_t n_last = columns_of(row + 2, size, n_columns), n_values = N_STORED * size;
    for (int64_t r = 0; r < n_own; r++) {
        float *values = rows + r * n_values;
        for (int64_t k = 0; k < r; k++)
            values[k] = rows[k * n_values + r];
        packed = copy(values + r, packed, n_own - r, size - r, end);
        packed = copy(values + size, packed, n_next, size, end);
        packed = copy(values + 2 * size, packed, n_last, size, end);
    }
    return packed;
}

WIDE static void multiply(const float *packed, const double *columns, int64_t size, int64_t n_columns, double *product)
{
    double mirrored[N_BLOCKS][(N_STORED - 1) * MAX_BLOCK];
    float rows[MAX_BLOCK * N_STORED * MAX_BLOCK + SUM_LANES];
    const float *end = packed + n_columns * (n_columns + 1) / 2;
    int64_t n_mirrored = (N_STORED - 1) * size;
    for (int64_t row = 0; row < N_BLOCKS; row++) {
        double stored[N_STORED * MAX_BLOCK];
        for (int64_t i = 0; i < N_STORED; i++)
            for (int64_t k = 0; k < size; k++)
                stored[i * size + k] = columns[(row + i) % N_BLOCKS * size + k];
        for (int64_t k = 0; k < n_mirrored; k++)
            mirrored[row][k] = 0.0;
        packed = unpack(packed, end, row, size, n_columns, rows);
        int64_t n_own = columns_of(row, size, n_columns);
        for (int64_t r = n_own; r < size; r++)
            product[row * size + r] = 0.0;
        for (int64_t r = 0; r < n_own; r++) {
            const float *values = rows + r * N_STORED * size;
            double own = columns[row * size + r];
            product[row * size + r] = sum_of_products(values, stored, N_STORED * size);
            for (int64_t k = 0; k < n_mirrored; k++)
                mirrored[row][k] += (double)values[size + k] * own;
        }
    }
    for (int64_t i = 1; i < N_STORED; i++)
        for (int64_t row = 0; row < N_BLOCKS; row++)
            for (int64_t k = 0; k < size; k++)
                product[row * size + k] += mirrored[(row + N_BLOCKS - i) % N_BLOCKS][(i - 1) * size + k];
}

/* Subtracts the outer product of `direction` with itself, and multiplies the result by `factor`. */
WIDE static void reduce(float *packed, const float *direction, float factor, int64_t size, int64_t n_columns)
{
    for (int64_t row = 0; row < N_BLOCKS; row++) {
        float stored[N_STORED * MAX_BLOCK];
        int64_t n_own = columns_of(row, size, n_columns), n = gather(direction, row, size, n_columns, stored);
        for (int64_t r = 0; r < n_own; packed += n - r, r++)
            for (int64_t k = r; k < n; k++)
                packed[k - r] = (packed[k - r] - stored[r] * stored[k]) * factor;
    }
}

/* Scales columns whose variance exceeds the prior variance back to it. */
static void limit_variance(float *packed, int64_t size, int64_t n_columns)
{
    float factors[MAX_WIDTH];
    const float *variance = packed;
    int is_any = 0;
    for (int64_t row = 0; row < N_BLOCKS; row++) {
        int64_t n_own = columns_of(row, size, n_columns);
        int64_t n = n_own + columns_of(row + 1, size, n_columns) + columns_of(row + 2, size, n_columns);
        for (int64_t r = 0; r < n_own; variance += n - r, r++) {
            int is_excessive = *variance > LARGEST_VARIANCE;
            factors[row * size + r] = is_excessive ? sqrtf(PRIOR / *variance) : 1.0f;
            is_any |= is_excessive;
        }
    }
    if (!is_any)
        return;
    for (int64_t row = 0; row < N_BLOCKS; row++) {
        float stored[N_STORED * MAX_BLOCK];
        int64_t n_own = columns_of(row, size, n_columns), n = gather(factors, row, size, n_columns, stored);
        for (int64_t r = 0; r < n_own; packed += n - r, r++)
            for (int64_t k = r; k < n; k++)
                packed[k - r] = packed[k - r] * stored[r] * stored[k];
    }
}

/* Returns whether the update is numerically sound; if not, the state must be reset. */
int rls_update(float *coefficients, float *covariance, float *inside, const float *columns, int64_t n_columns,
               double actual, double n_outcomes, double forgetting)
{
    int64_t size = (n_columns + N_BLOCKS - 1) / N_BLOCKS, width = N_BLOCKS * size;
    double values[MAX_WIDTH], direction[MAX_WIDTH];
    float reduction[MAX_WIDTH];
    double noise = (double)(float)forgetting;
    actual = within(actual, RLS_LIMIT);
    double error = actual - rls_product(coefficients, columns, width);
    double error_of_median = actual - rls_product(coefficients + width, columns, width);
    for (int64_t i = 0; i < width; i++)
        values[i] = (double)columns[i];
    multiply(covariance, values, size, n_columns, direction);
    double spread = sum_of_products(columns, direction, width);
    if (!(spread >= 0.0))
        return 0;
    double small = within(error_of_median, SMALL_ERROR);
    *inside = updated_share(*inside, error_of_median, small, n_outcomes);
    double step = error / (noise + spread);
    double divisor = noise * max_of((double)*inside, MIN_SHARE) + spread;
    double step_of_median = median_gain(n_outcomes) * small / divisor;
    double root = sqrt(noise + spread);
    for (int64_t i = 0; i < width; i++) {
        coefficients[i] = (float)((double)coefficients[i] + direction[i] * step);
        coefficients[width + i] = (float)((double)coefficients[width + i] + direction[i] * step_of_median);
        reduction[i] = (float)(direction[i] / root);
    }
    reduce(covariance, reduction, 1.0f / (float)noise, size, n_columns);
    limit_variance(covariance, size, n_columns);
    if (fmod(n_outcomes + 1.0, N_CHECKED) == 0.0)
        restore_positive_definite(covariance, size, n_columns);
    return 1;
}
