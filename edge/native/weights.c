/* The weights of the ensemble's members: situations.py and boa_weights.py. */

#include <math.h>

#include "device_statistics.h"
#include "ensemble.h"

#define N_ACTIVE_MIN 60
#define N_RISE_MIN 180
#define TINY_LEVEL 1e-9
#define ERROR_LIMIT 50.0
#define ABSURD 4.0
#define EVEN_SHARE 0.001
#define FIRST_RATE 0.3f
#define TINY 1e-12f
#define MAX_LOG 60.0

static const double LOWEST_LEVELS[N_QUANTITIES] = {0.05, 0.3, 0.1};
static const double LEVEL_STEP = 4.0;

WIDE static float lowest_of(const float *values, int64_t n)
{
    float lanes[SUM_LANES], lowest = values[n - 1];
    int64_t i = 0;
    for (int64_t lane = 0; lane < SUM_LANES; lane++)
        lanes[lane] = lowest;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int64_t lane = 0; lane < SUM_LANES; lane++)
            lanes[lane] = min_of_f(lanes[lane], values[i + lane]);
    for (; i < n; i++)
        lowest = min_of_f(lowest, values[i]);
    for (int64_t lane = 0; lane < SUM_LANES; lane++)
        lowest = min_of_f(lowest, lanes[lane]);
    return lowest;
}

void levels_of(const struct step *step, const float *window, double change_kw, double scale_kw, double *levels)
{
    const float *last = window + step->context - 1;
    int64_t n_steps = step->context - 1 < N_ACTIVE_MIN ? step->context - 1 : N_ACTIVE_MIN;
    int64_t n_rise = step->context < N_RISE_MIN ? step->context : N_RISE_MIN;
    double changes_kw[N_ACTIVE_MIN] = {0.0};
    for (int64_t i = 0; i < n_steps; i++) {
        const float *at = last - n_steps + 1 + i;
        changes_kw[i] = fabs((double)at[0] - (double)at[-1]) * step->recent[N_ACTIVE_MIN - n_steps + i];
    }
    double activity_kw = pairwise_sum(changes_kw, n_steps);
    float lowest_kw = lowest_of(last - n_rise + 1, n_rise);
    double found[N_QUANTITIES] = {activity_kw, (double)*last - (double)lowest_kw, fabs(change_kw)};
    for (int64_t i = 0; i < N_QUANTITIES; i++) {
        double level = (log(max_of(found[i] / scale_kw, TINY_LEVEL)) - log(LOWEST_LEVELS[i])) / log(LEVEL_STEP);
        levels[i] = max_of(min_of(level, N_LEVELS - 1.0), 0.0);
    }
}

void memberships_of(const double *levels, double *memberships)
{
    for (int64_t i = 0; i < N_QUANTITIES; i++)
        for (int64_t level = 0; level < N_LEVELS; level++)
            memberships[i * N_LEVELS + level] = max_of(1.0 - fabs(levels[i] - (double)level), 0.0);
    memberships[N_SITUATIONS - 1] = 1.0;
}

void weights_of(const float *specialists, const double *memberships, int64_t n_members, double *shares)
{
    for (int64_t side = 0; side < 2; side++, shares += n_members) {
        for (int64_t member = 0; member < n_members; member++) {
            double weight = 0.0;
            for (int64_t s = 0; s < N_SITUATIONS; s++)
                weight += memberships[s] * (double)specialists[(side * N_SITUATIONS + s) * n_members + member];
            shares[member] = weight;
        }
        double total = pairwise_sum(shares, n_members);
        for (int64_t member = 0; member < n_members; member++)
            shares[member] = shares[member] * ((1 - EVEN_SHARE) / total) + EVEN_SHARE / (double)n_members;
    }
}

static float log_of_members(int64_t n_members, int64_t horizon_min)
{
    return (float)(log(n_members < 2 ? 2.0 : (double)n_members) * min_of((double)NEAR_MIN / (double)horizon_min, 1.0));
}

/* Adds new regrets [n] to the regrets, their variances and largest sizes [n]; writes the resulting rates [n]. */
WIDE static void add_regrets(const float *restrict added, float log_n, int64_t n, float *restrict regrets,
                             float *restrict variances, float *restrict largest, float *restrict rates)
{
    float decay = outcome_decay(), by_range[N_SITUATIONS * MAX_MEMBERS];
    /* In separate loops, because compilers do not vectorise a division next to a comparison. */
    for (int64_t i = 0; i < n; i++) {
        largest[i] = max_of_f(largest[i] * decay, fabsf(added[i]));
        variances[i] = variances[i] * decay + added[i] * added[i];
    }
    for (int64_t i = 0; i < n; i++) {
        by_range[i] = not_below_f(largest[i], TINY);
        rates[i] = not_below_f(variances[i], TINY);
    }
    for (int64_t i = 0; i < n; i++) {
        by_range[i] = 0.5f / by_range[i];
        rates[i] = sqrtf(log_n / rates[i]);
    }
    for (int64_t i = 0; i < n; i++)
        rates[i] = min_of_f(rates[i], by_range[i]);
    for (int64_t i = 0; i < n; i++)
        rates[i] = not_above_f(rates[i], FIRST_RATE);
    for (int64_t i = 0; i < n; i++)
        regrets[i] = regrets[i] * decay + added[i] - added[i] * added[i] * rates[i];
}

void update_memory(float *memory, const double *members_kw, const double *published_kw, double actual_kw,
                   double scale_kw, const double *memberships, int64_t n_members, int64_t horizon_min, float *rates)
{
    int64_t n_of_side = N_SITUATIONS * n_members, n = 2 * n_of_side;
    float log_n = log_of_members(n_members, horizon_min);
    double error = (published_kw[0] - actual_kw) / scale_kw, error_of_median = (published_kw[1] - actual_kw) / scale_kw;
    double half_sign = error_of_median > 0.0 ? 0.5 : error_of_median < 0.0 ? -0.5 : error_of_median * 0.0;
    double gradients[2] = {within(error, ERROR_LIMIT) * 2.0, half_sign};
    if (fabs(error) > ERROR_LIMIT * ABSURD)
        gradients[0] = gradients[1] = 0.0;
    for (int64_t side = 0; side < 2; side++) {
        float added[N_SITUATIONS * MAX_MEMBERS];
        for (int64_t member = 0; member < n_members; member++) {
            double apart = within((published_kw[side] - members_kw[side * n_members + member]) / scale_kw, ERROR_LIMIT);
            float loss = (float)(gradients[side] * apart);
            for (int64_t s = 0; s < N_SITUATIONS; s++)
                added[s * n_members + member] = (float)memberships[s] * loss;
        }
        float *regrets = memory + side * n_of_side;
        add_regrets(added, log_n, n_of_side, regrets, regrets + n, regrets + 2 * n, rates + side * n_of_side);
    }
}

void specialists_of(const float *regrets, const float *rates, const double *log_prior, int64_t n_members,
                    float *specialists)
{
    for (int64_t side = 0; side < 2; side++) {
        double scores[N_SITUATIONS * MAX_MEMBERS], highest[N_SITUATIONS];
        for (int64_t s = 0; s < N_SITUATIONS; s++) {
            highest[s] = -INFINITY;
            for (int64_t member = 0; member < n_members; member++) {
                int64_t at = (side * N_SITUATIONS + s) * n_members + member;
                double score = (double)rates[at] * (double)regrets[at] + log_prior[member];
                scores[s * n_members + member] = score;
                highest[s] = max_of(highest[s], score);
            }
        }
        double base = highest[N_SITUATIONS - 1];
        for (int64_t s = 0; s < N_SITUATIONS; s++) {
            double above = max_of(highest[s] - base - MAX_LOG, 0.0);
            for (int64_t member = 0; member < n_members; member++) {
                int64_t at = (side * N_SITUATIONS + s) * n_members + member;
                specialists[at] = (float)((double)rates[at] * exp(scores[s * n_members + member] - base - above));
            }
        }
    }
}
