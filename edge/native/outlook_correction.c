/* The online correction of an outlook: correction_model.py and correction_shares.py. */

#include <math.h>

#include "device_statistics.h"
#include "outlook.h"

#define PRIOR 0.00005
#define TOLERANCE 1.01
#define FORGETTING 0.99999
#define LAST_READING_MIN 3
/* Numbers for a lead time: corrections of both kinds, mean and median, and the gains of their choices. */
#define N_OF_LEAD (N_KINDS * N_STATISTICS)
#define N_GAINS (N_OF_LEAD * N_CHOICES)

static const double SHARES[LAST_READING] = {0.0, 0.25, 0.5, 0.75, 1.0};
static const double DEVIATIONS[N_CHOICES] = {1.0, 1.0, 1.0, 1.0, 1.0, 2.0};

/* The sum of the products of two rows of columns, added as sum.c adds 8 to 128 values. */
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

/* The corrections for `n` rows of coefficients, in units of the scale, without a limit. */
WIDE void predict_changes(const float *coefficients, const float *columns, int64_t n, double *changes)
{
    double inputs[N_INPUTS];
    as_doubles(columns, inputs);
    for (int64_t i = 0; i < n; i++)
        changes[i] = sum_of_floats(coefficients + i * N_INPUTS, inputs);
}

/* Scales columns whose variance exceeds the prior variance back to it. */
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
    double variance = max_of(sum_of_doubles(direction, inputs), 0.0), noise = FORGETTING + variance, inverse = 1 / noise;
    for (int64_t i = 0; i < N_INPUTS; i++) {
        double *values = covariance + i * N_INPUTS;
        for (int64_t j = 0; j < N_INPUTS; j++) /* the same for (i, j) and (j, i): it stays symmetric */
            values[j] = (values[j] - direction[i] * direction[j] * inverse) * (1 / FORGETTING);
        gains[i] = (float)(direction[i] / noise);
    }
    *spread = (float)variance;
    limit_variance(covariance);
}

/* The index of the largest gain, as found by numpy: the first one, or the first NaN. */
static inline int8_t best_of(const double *sure)
{
    double highest = sure[0];
    int8_t best = 0;
    for (int8_t choice = 1; choice < N_CHOICES; choice++)
        if (!(sure[choice] <= highest) && !isnan(highest)) {
            highest = sure[choice];
            best = choice;
        }
    return best;
}

/* The choices with the best lower gains, [K, 2, 2]. */
WIDE void best_choices(const struct outlook_step *step, int64_t row, int8_t *choices)
{
    int64_t n = step->n_leads * N_OF_LEAD;
    const float *sums = step->share_gains + row * 2 * n * N_CHOICES, *squares = sums + n * N_CHOICES;
    for (int64_t lead = 0; lead < step->n_leads; lead++, sums += N_GAINS, squares += N_GAINS) {
        double minutes = (double)step->leads[lead], sure[N_GAINS];
        for (int64_t i = 0; i < N_GAINS; i++)
            sure[i] = (double)sums[i] - DEVIATIONS[i % N_CHOICES] * sqrt((double)not_below_f(squares[i], 0.0f) * minutes);
        for (int64_t i = 0; i < N_OF_LEAD; i++)
            *choices++ = best_of(sure + i * N_CHOICES);
    }
}

/* The mean or the median by a choice, kW. */
double centre_of(int8_t choice, double base_kw, double change_kw, double last_kw)
{
    return choice == LAST_READING ? last_kw : base_kw + SHARES[choice] * change_kw;
}

/* Updates the gains [2, n, 2, 2, choices] of one of n lead times, of `minutes`, with its outcomes: `errors` and `change`
   [2, 2] are by kind, for mean and median, and `moved` [2] is by kind. */
WIDE void update_choices(float *gains, const double *errors, const double *change, const double *moved, int64_t minutes,
                         int64_t lead, int64_t n)
{
    const float decay = outcome_decay();
    const int is_choice = minutes <= LAST_READING_MIN;
    float *restrict sums = gains + lead * N_GAINS, *restrict squares = sums + n * N_GAINS;
    double losses[N_OF_LEAD][N_CHOICES];
    float added[N_OF_LEAD][N_CHOICES];
    for (int64_t i = 0; i < N_OF_LEAD; i++) {
        for (int64_t share = 0; share < LAST_READING; share++)
            losses[i][share] = errors[i] - change[i] * SHARES[share];
        /* where it is no choice, its gain is zero */
        losses[i][LAST_READING] = i % N_STATISTICS && is_choice ? moved[i / N_STATISTICS] : errors[i];
    }
    for (int64_t i = 0; i < N_OF_LEAD; i += N_STATISTICS)
        for (int64_t choice = 0; choice < N_CHOICES; choice++) {
            losses[i][choice] *= losses[i][choice];
            losses[i + 1][choice] = fabs(losses[i + 1][choice]);
        }
    for (int64_t i = 0; i < N_OF_LEAD; i++)
        for (int64_t choice = 0; choice < N_CHOICES; choice++)
            added[i][choice] = (float)(losses[i][0] - losses[i][choice]);
    const float *gain = added[0];
    for (int64_t i = 0; i < N_GAINS; i++) {
        sums[i] = sums[i] * decay + gain[i];
        squares[i] = squares[i] * decay + gain[i] * gain[i];
    }
}

/* Learns from the outcome of one lead time and kind: `coefficients` [2, D] are for mean and median, `columns` belong to
   the outlook, `gains` are its gains and its spread, `errors` [2] the deviations of the outcome. */
static inline __attribute__((always_inline)) void update_kind(float *restrict coefficients, float *inside,
                                                              const double *columns, const float *restrict gains,
                                                              const double *errors, double n_outcomes)
{
    double apart[N_STATISTICS];
    float spread = gains[N_INPUTS];
    for (int64_t i = 0; i < N_STATISTICS; i++)
        apart[i] = within(errors[i], COLUMN_LIMIT) -
                   sum_of_floats(coefficients + i * N_INPUTS, columns);
    double small = within(apart[1], SMALL_ERROR);
    *inside = updated_share(*inside, apart[1], small, n_outcomes);
    double scaled = median_gain(n_outcomes) * (double)((float)FORGETTING + spread) * small;
    double divisor = (double)((float)FORGETTING * max_of_f(*inside, (float)MIN_SHARE) + spread);
    float steps[N_STATISTICS] = {(float)apart[0], (float)(scaled / divisor)};
    for (int64_t i = 0; i < N_STATISTICS; i++)
        for (int64_t j = 0; j < N_INPUTS; j++)
            coefficients[i * N_INPUTS + j] += steps[i] * gains[j];
}

/* Learns from the outcomes of a lead time: `coefficients` [2, 2, D] and `errors` [2, 2] are by kind, for mean and
   median, `inputs` the columns, gains and spread of the outlook. */
WIDE void update_coefficients(float *coefficients, float *inside, const float *inputs, const double *errors,
                              double n_outcomes)
{
    double columns[N_INPUTS];
    as_doubles(inputs, columns);
    for (int64_t kind = 0; kind < N_KINDS; kind++)
        update_kind(coefficients + kind * N_STATISTICS * N_INPUTS, inside + kind, columns, inputs + N_INPUTS,
                    errors + kind * N_STATISTICS, n_outcomes);
}
