/* The outlooks' step: the arrays that outlook_*.c use.

   Every array belongs to numpy, is C-contiguous, and outlives the call. Row r of a state array belongs to a device; row
   0 holds the initial state and is never written. Entry i of a batch array is the i-th window of the batch.
   gapcast/core/outlook defines the formulas, their sources and their constants: each file names the modules there.
   outlook_struct.py repeats the names, order and types of the members. */

#ifndef GAPCAST_OUTLOOK_H
#define GAPCAST_OUTLOOK_H

#include "gapcast.h"

/* Largest numbers of lead times and of quantile levels: sizes of arrays on the stack. */
#define MAX_LEADS 32
#define MAX_LEVELS 16
/* Kinds: a single minute, the mean of all minutes until then. Statistics: mean and median. */
#define N_KINDS 2
#define N_STATISTICS 2
/* Number of columns of the correction, and the largest absolute column and correction, in units of the device's
   scale. */
#define N_INPUTS 31
#define COLUMN_LIMIT 50.0
/* Choices of mean and median: shares of the correction, then the last reading. */
#define LAST_READING 5
#define N_CHOICES (LAST_READING + 1)
#define N_SUMS 11
#define N_USUAL_BINS 48
#define USUAL_BIN_MIN 30
#define N_RECENT 2
/* Quarters of the history that are columns: four of yesterday and four of a week ago. */
#define N_QUARTERS 4
/* Pending values by lead time and kind: base and change of mean and median, and the published columns. */
#define N_PENDING 8

enum { OF_MEAN, OF_LOWER, OF_MEDIAN, OF_UPPER, N_OF_OUTLOOK };
enum { SEEN_SCALE, SEEN_READINGS, SEEN_LOWEST, SEEN_NEWEST, N_OF_SEEN };

struct outlook_step {
    /* sizes and indices: `horizon` is the index of the published horizon among the lead times, or -1; `has_one` whether
       the first lead time is one minute */
    int64_t context, n_leads, n_levels, n_fixed, n_free, horizon, has_one, has_history, n_slots, n_places, issued_at_ms;
    /* limits */
    double min_kw, low_kw, high_kw;
    /* tables: lead times [K], columns of the bounds and the median among the levels [3], places of columns in a flat
       outlook [10], lead times of the newest errors [2], published lead times [P] and the others [F]; three matrices by
       columns: shifts by published values [P + 2, K, 2, 2], free minutes from all estimates [2 K, F], means up to a
       lead time from minutes [K, K]; sine and cosine of each minute of the day and of half a day [1440, 4] */
    const int64_t *leads, *levels, *places, *recent_leads, *fixed, *free;
    const double *shift, *free_of, *means_of, *on_circle;
    /* state: seen [R, 4], lowest_powers [R, 3], log_width [R, K, 2], n_outcomes [R, K], recent [R, 2], coefficients [R, K, 2, 2, D],
       covariance [R, D, D], inside [R, K, 2], share_gains [R, 2, K, 2, 2, choices], usual [R, 2, 48],
       sums [R, 2, K, 2, sums], newest_kw [R, K, 2, 4], newest_when [R, 2], per slot issued_minute and inputs [2 D + 1],
       per place values [2, 8] */
    double *seen;
    float *lowest_powers;
    double *log_width, *n_outcomes, *recent;
    float *coefficients;
    double *covariance;
    float *inside, *share_gains, *usual;
    double *sums, *newest_kw;
    int64_t *newest_when, *issued_minute;
    float *inputs, *values;
    /* newest_entry [R]: the entry of the batch whose outcomes a device has not learned yet, or -1 */
    int32_t *newest_entry;
    /* batch: rows of the state, minutes, local minutes of the day, whether the newest minute was measured, windows
       [N, context], quarters of yesterday and of a week ago [N, 2, 4], the model's means [N, K] and quantiles [N, K, Q]
       of both kinds, published means at the fixed lead times [N, P], and bounds and median at the horizon [N, 3] */
    int64_t *rows, *minutes, *local;
    uint8_t *is_measured;
    float *windows, *quarters, *mean, *quantiles, *mean_to, *quantiles_to;
    double *path_kw, *horizon_kw;
    /* results: outlooks [N, K, 2, 4], lower limit of bounds [N], the model's quantiles of means, rising [N, K, Q]; for
       learning: columns [N, D], base and change [N, K, 2, 2], log(width) [N, K, 2] */
    double *kw, *floor_kw, *quantiles_kw;
    float *columns;
    double *base_kw, *change, *log_width_of;
};

/* outlook_alignment.c */
void persistence_of(const struct outlook_step *step, double last_kw, double *kw);
void base_of(const struct outlook_step *step, int64_t entry, const double *model_kw, double *away_kw);
void align(const struct outlook_step *step, int64_t entry, double floor_kw);
int is_possible_outlook(const struct outlook_step *step, const double *kw);

/* outlook_columns.c */
void write_outlook_columns(const struct outlook_step *step, int64_t entry, const double *model_kw,
                           const double *away_kw, double scale_kw);

/* outlook_correction.c */
void predict_changes(const float *coefficients, const float *columns, int64_t n, double *changes);
void add_inputs(double *covariance, const float *columns, float *gains, float *spread);
void best_choices(const struct outlook_step *step, int64_t row, int8_t *choices);
double centre_of(int8_t choice, double base_kw, double change_kw, double last_kw);
void update_choices(float *gains, const double *errors, const double *change, const double *moved, int64_t minutes,
                    int64_t lead, int64_t n);
void update_coefficients(float *coefficients, float *inside, const float *inputs, const double *errors,
                         double n_outcomes);

/* outlook_scores.c */
void add_scores(double *sums, int64_t at, int64_t n, const float *kw, double actual_kw, double last_kw,
                double window_kw);

/* outlook_learn.c */
void learn_outlook(struct outlook_step *step, int64_t entry);

#endif
