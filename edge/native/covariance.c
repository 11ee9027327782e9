/* Keeps the covariance of the online model positive definite: restore_positive_definite of rls_model.py. */

#include <math.h>

#include "ensemble.h"

#define RIDGE (0.002 / 1000)

/* Writes the lower triangle of the matrix `packed`, with `added` on its diagonal, to `matrix` [D, D]; returns whether
   all values are finite. */
static int unpack_lower(const float *packed, double added, int64_t size, int64_t n_columns, double *matrix)
{
    int is_finite = 1;
    for (int64_t row = 0; row < N_BLOCKS; row++)
        for (int64_t r = 0; r < columns_of(row, size, n_columns); r++)
            for (int64_t i = 0; i < N_STORED; i++)
                for (int64_t k = i ? 0 : r; k < columns_of(row + i, size, n_columns); k++) {
                    const int64_t a = row * size + r, b = (row + i) % N_BLOCKS * size + k;
                    const double value = (double)*packed++ + (a == b ? added : 0.0);
                    is_finite &= isfinite(value) != 0;
                    matrix[a > b ? a * n_columns + b : b * n_columns + a] = value;
                }
    return is_finite;
}

/* Replaces the lower triangle of `matrix` [D, D] by its Cholesky factor; returns whether the matrix is positive
   definite. */
static int factorize(double *matrix, int64_t n_columns)
{
    for (int64_t i = 0; i < n_columns; i++)
        for (int64_t k = 0; k <= i; k++) {
            double rest = matrix[i * n_columns + k];
            for (int64_t j = 0; j < k; j++)
                rest -= matrix[i * n_columns + j] * matrix[k * n_columns + j];
            if (k < i)
                matrix[i * n_columns + k] = rest / matrix[k * n_columns + k];
            else if (rest > 0.0)
                matrix[i * n_columns + i] = sqrt(rest);
            else
                return 0;
        }
    return 1;
}

void restore_positive_definite(float *packed, int64_t size, int64_t n_columns)
{
    static double matrix[MAX_WIDTH * MAX_WIDTH]; /* too large for a stack; Python's lock is held */
    double added = 0.0;
    if (!unpack_lower(packed, 0.0, size, n_columns, matrix))
        return;
    while (!factorize(matrix, n_columns)) {
        added = added > 0.0 ? 2.0 * added : 1.0;
        unpack_lower(packed, added * RIDGE, size, n_columns, matrix);
    }
    const float ridge = (float)added * (float)RIDGE;
    for (int64_t row = 0; added > 0.0 && row < N_BLOCKS; row++) {
        const int64_t n_own = columns_of(row, size, n_columns);
        const int64_t n = n_own + columns_of(row + 1, size, n_columns) + columns_of(row + 2, size, n_columns);
        for (int64_t r = 0; r < n_own; packed += n - r, r++)
            *packed += ridge;
    }
}
