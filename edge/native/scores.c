/* Adds outcomes to the sums of the live scores, as core/learning/scores/score_sums.py does. */

#include <math.h>
#include <string.h>

#include "outcomes.h"

enum { BIAS, BOUNDS_N, PINBALL, HITS, WIDTH, N_INTERVAL_SUMS };
enum { PUBLISHED, PERSISTENCE, FIRST_MEMBER };
enum { N, SQUARED, ABSOLUTE, N_SOURCE_SUMS };

#define N_BUCKETS_OF_ROW 17
static const double LARGEST_KW = 1e9;

struct bucket_ring {
    int64_t length_min, n_buckets, first;
};
static const struct bucket_ring DAY = {180, 9, 0}, WEEK = {1440, 8, 9};

struct score_sums {
    const struct outcomes *outcomes;
    float *buckets;         /* [n_rows][N_BUCKETS_OF_ROW][n_sums] */
    int32_t *bucket_ids;    /* [n_rows][N_BUCKETS_OF_ROW] */
    double *all_time;       /* [n_rows][n_sums] */
    int64_t *newest_minute; /* [n_rows] */
    int64_t n_rows, max_devices, n_members, n_sources, n_sums;
};

/* The places where one outcome is added. */
struct places {
    float *day, *week;
    double *all_time;
};

static float *open_bucket(const struct score_sums *state, int64_t row, int64_t minute, const struct bucket_ring *ring)
{
    const int64_t id = floor_divide(minute, ring->length_min);
    const int64_t at = row * N_BUCKETS_OF_ROW + ring->first + floor_modulo(id, ring->n_buckets);
    float *bucket = state->buckets + at * state->n_sums;
    if (state->bucket_ids[at] != id) {
        memset(bucket, 0, (size_t)state->n_sums * sizeof *bucket);
        state->bucket_ids[at] = (int32_t)id;
    }
    return bucket;
}

static inline void add(const struct places *places, int64_t sum, double value)
{
    places->day[sum] = (float)((double)places->day[sum] + value);
    places->week[sum] = (float)((double)places->week[sum] + value);
    places->all_time[sum] += value;
}

/* NaN stays NaN. */
static inline double error_kw(double forecast_kw, double actual_kw)
{
    const double error = forecast_kw - actual_kw;
    return error > LARGEST_KW ? LARGEST_KW : error < -LARGEST_KW ? -LARGEST_KW : error;
}

static inline double pinball(double error, double level)
{
    const double if_below = error * -level, if_above = error * (1 - level);
    return if_below > if_above ? if_below : if_above;
}

/* A source without a mean has no prediction; without a median, the mean replaces it. */
static void add_source(const struct places *places, int64_t source, int64_t n_sources, double mean, double median)
{
    if (isnan(mean))
        return;
    const int64_t first = N_INTERVAL_SUMS + source;
    add(places, first + N * n_sources, 1);
    add(places, first + SQUARED * n_sources, mean * mean);
    add(places, first + ABSOLUTE * n_sources, fabs(isnan(median) ? mean : median));
}

/* The errors of persistence over the minutes that the member predicts. */
static void add_reference(const struct places *places, int64_t source, int64_t n_sources, double persistence)
{
    const int64_t first = N_INTERVAL_SUMS + N_SOURCE_SUMS * n_sources + source - FIRST_MEMBER;
    add(places, first, persistence * persistence);
    add(places, first + n_sources - FIRST_MEMBER, fabs(persistence));
}

static void add_interval(const struct places *places, double mean, double median, double lower, double upper)
{
    if (isnan(lower) || isnan(upper))
        return;
    const double best = isnan(mean) ? 0 : isnan(median) ? mean : median;
    add(places, BOUNDS_N, 1);
    add(places, PINBALL, (pinball(best, 0.5) + pinball(lower, 0.05) + pinball(upper, 0.95)) / 3);
    add(places, HITS, lower <= 0 && upper >= 0);
    add(places, WIDTH, upper - lower);
}

static void add_outcome(const struct score_sums *state, const struct places *places, int64_t i)
{
    const struct outcomes *outcomes = state->outcomes;
    const double actual_kw = outcomes->actual_kw[i];
    const double *published_kw = outcomes->published_kw + i * N_PUBLISHED;
    const double mean = error_kw(published_kw[MEAN], actual_kw), median = error_kw(published_kw[MEDIAN], actual_kw);
    add(places, BIAS, isnan(mean) ? 0 : mean);
    add_interval(places, mean, median, error_kw(published_kw[LOWER], actual_kw), error_kw(published_kw[UPPER], actual_kw));
    add_source(places, PUBLISHED, state->n_sources, mean, median);
    const double persistence = error_kw(outcomes->last_kw[i], actual_kw);
    add_source(places, PERSISTENCE, state->n_sources, persistence, persistence);
    const double *means_kw = outcomes->members_kw + i * 2 * state->n_members;
    const double *medians_kw = means_kw + state->n_members;
    for (int64_t source = FIRST_MEMBER; source < state->n_sources; source++) {
        const int64_t member = source - FIRST_MEMBER;
        const double member_mean = error_kw(means_kw[member], actual_kw);
        add_source(places, source, state->n_sources, member_mean, error_kw(medians_kw[member], actual_kw));
        if (!isnan(member_mean) && !isnan(persistence))
            add_reference(places, source, state->n_sources, persistence);
    }
}

/* Adds n outcomes in order and returns 0; returns the number of rows that the state needs first, without adding any. */
EXPORT int64_t gapcast_add_to_scores(const struct score_sums *state, int64_t n)
{
    const int64_t needed = rows_needed(state->outcomes, n, state->max_devices);
    if (needed > state->n_rows)
        return needed;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = state->outcomes->rows[i], minute = state->outcomes->minutes[i];
        if (!is_tracked(row, state->max_devices))
            continue;
        const struct places places = {
            open_bucket(state, row, minute, &DAY),
            open_bucket(state, row, minute, &WEEK),
            state->all_time + row * state->n_sums,
        };
        add_outcome(state, &places, i);
        state->newest_minute[row] = minute;
    }
    return 0;
}
