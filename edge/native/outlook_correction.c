/* The online correction of an outlook: correction_model.py and correction_shares.py. */

#include <math.h>

#include "outlook.h"

#define PRIOR 0.00005
#define TOLERANCE 1.01
#define FORGETTING 0.99999
#define SMALL_ERROR 0.3
#define SHARE_N 1000.0
#define SHARE_FIRST_N 20.0
#define MIN_SHARE 0.02f
#define MEDIAN_GAIN 8.0
#define MEDIAN_GAIN_N 2000.0
#define DEVIATIONS 1.0
#define HALF_LIFE_MIN 20160.0

static const double SHARES[N_SHARES] = {0.0, 0.25, 0.5, 0.75, 1.0};

/* As sum.c adds 8 to 128 values: the sum of the products of two rows of columns. */
#define SUM_OF_PRODUCTS(type)                                                                                 \
    static inline __attribute__((always_inline)) double sum_of_##type##s(const type *a, const double *b)      \
    {                                                                                                         \
        double lanes[SUM_LANES];                                                                              \
        int64_t i = SUM_LANES;                                                                                \
        for (int64_t lane = 0; lane < SUM_LANES; lane++)                                                      \
            lanes[lane] = (double)a[lane] * b[lane];                                                          \
        for (; i + SUM_LANES <= N_INPUTS; i += SUM_LANES)                                                     \
            for (int64_t lane = 0; lane < SUM_LANES; lane++)                                                  \
                lanes[lane] += (double)a[i + lane] * b[i + lane];                                             \
        double sum = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])); \
        for (; i < N_INPUTS; i++)                                                                             \
            sum += (double)a[i] * b[i];                                                                       \
        return sum;                                                                                           \
    }

SUM_OF_PRODUCTS(float)
SUM_OF_PRODUCTS(double)

static void as_doubles(const float *columns, double *inputs)
{
    for (int64_t i = 0; i < N_INPUTS; i++)
        inputs[i] = (double)columns[i];
}

/* The corrections for `n` rows of coefficients, in units of the scale, not limited. */
WIDE void predict_changes(const float *coefficients, const float *columns, int64_t n, double *changes)
{
    double inputs[N_INPUTS];
    as_doubles(columns, inputs);
    for (int64_t i = 0; i < n; i++)
        changes[i] = sum_of_floats(coefficients + i * N_INPUTS, inputs);
}

/* Scales columns whose variance exceeds the prior's back to it. */
static void limit_variance(double *covariance)
{
    double factors[N_INPUTS];
    int is_any = 0;
    for (int64_t i = 0; i < N_INPUTS; i++) {
        double variance = covariance[i * (N_INPUTS + 1)];
        int is_excessive = variance > PRIOR * TOLERANCE;
        factors[i] = is_excessive ? sqrt(PRIOR / variance) : 1.0;
        is_any |= is_excessive;
    }
    if (!is_any)
        return;
    for (int64_t i = 0; i < N_INPUTS; i++)
        for (int64_t j = 0; j < N_INPUTS; j++)
            covariance[i * N_INPUTS + j] *= factors[i] * factors[j];
}

/* Adds inputs to the covariance; writes the gains [D] and the spread. */
WIDE void add_inputs(double *covariance, const float *columns, float *gains, float *spread)
{
    double inputs[N_INPUTS], direction[N_INPUTS];
    as_doubles(columns, inputs);
    for (int64_t i = 0; i < N_INPUTS; i++)
        direction[i] = sum_of_doubles(covariance + i * N_INPUTS, inputs);
    double variance = max_of(sum_of_doubles(direction, inputs), 0.0);
    for (int64_t i = 0; i < N_INPUTS; i++) {
        double gain = direction[i] / (FORGETTING + variance), *values = covariance + i * N_INPUTS;
        for (int64_t j = 0; j < N_INPUTS; j++)
            values[j] = (values[j] - gain * direction[j]) * (1 / FORGETTING);
        gains[i] = (float)gain;
    }
    *spread = (float)variance;
    limit_variance(covariance);
}

/* The shares with the largest sure gains, [K, 2, 2]. */
void best_shares(const struct outlook_step *step, int64_t row, double *shares)
{
    int64_t n = step->n_leads * N_KINDS * N_STATISTICS;
    const float *sums = step->share_gains + row * 2 * n * N_SHARES, *squares = sums + n * N_SHARES;
    for (int64_t i = 0; i < n; i++) {
        double lead = (double)step->leads[i / (N_KINDS * N_STATISTICS)], highest = 0.0;
        int64_t best = 0;
        for (int64_t share = 0; share < N_SHARES; share++) {
            double deviation = sqrt((double)max_of_f(squares[i * N_SHARES + share], 0.0f) * lead);
            double sure = (double)sums[i * N_SHARES + share] - DEVIATIONS * deviation;
            if (share == 0 || sure > highest || (isnan(sure) && !isnan(highest))) {
                highest = sure;
                best = share;
            }
        }
        shares[i] = SHARES[best];
    }
}

/* Updates the gains [2, n, 2, shares] of the kind `at` of n by an outcome: `errors` and `change` are of mean and median. */
void update_shares(float *gains, const double *errors, const float *change, int64_t at, int64_t n)
{
    float decay = (float)exp2(-1.0 / HALF_LIFE_MIN);
    for (int64_t statistic = 0; statistic < N_STATISTICS; statistic++) {
        float *sums = gains + (at * N_STATISTICS + statistic) * N_SHARES, *squares = sums + n * N_STATISTICS * N_SHARES;
        double losses[N_SHARES];
        for (int64_t share = 0; share < N_SHARES; share++) {
            double error = errors[statistic] - (double)change[statistic] * SHARES[share];
            losses[share] = statistic == 0 ? error * error : fabs(error);
        }
        for (int64_t share = 0; share < N_SHARES; share++) {
            float gain = (float)(losses[0] - losses[share]);
            sums[share] = sums[share] * decay + gain;
            squares[share] = squares[share] * decay + gain * gain;
        }
    }
}

/* Learns from the outcome of one lead time and kind: `coefficients` [2, D] of mean and median, `inputs` the columns, gains
   and spread of the outlook, `errors` [2] the deviations of the outcome. */
WIDE void update_coefficients(float *coefficients, float *inside, const float *inputs, const double *errors,
                              double n_outcomes)
{
    double columns[N_INPUTS], apart[N_STATISTICS];
    const float *gains = inputs + N_INPUTS;
    float spread = inputs[2 * N_INPUTS];
    as_doubles(inputs, columns);
    for (int64_t i = 0; i < N_STATISTICS; i++)
        apart[i] = min_of(max_of(errors[i], -COLUMN_LIMIT), COLUMN_LIMIT) -
                   sum_of_floats(coefficients + i * N_INPUTS, columns);
    double small = min_of(max_of(apart[1], -SMALL_ERROR), SMALL_ERROR);
    double share_step = 1.0 / min_of(n_outcomes + SHARE_FIRST_N, SHARE_N);
    *inside += (float)(share_step * (double)((small == apart[1] ? 1.0f : 0.0f) - *inside));
    double growth = 1.0 + (MEDIAN_GAIN - 1.0) * n_outcomes / (n_outcomes + MEDIAN_GAIN_N);
    double scaled = growth * (double)((float)FORGETTING + spread) * small;
    double divisor = (double)((float)FORGETTING * max_of_f(*inside, MIN_SHARE) + spread);
    float steps[N_STATISTICS] = {(float)apart[0], (float)(scaled / divisor)};
    for (int64_t i = 0; i < N_STATISTICS; i++)
        for (int64_t j = 0; j < N_INPUTS; j++)
            coefficients[i * N_INPUTS + j] += steps[i] * gains[j];
}
