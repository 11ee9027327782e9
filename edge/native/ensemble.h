/* The ensemble's step: the arrays that forecast.c and learn.c use.

   Every array belongs to numpy, is C-contiguous, and outlives the call. Row r of a state array belongs to a device; row
   0 holds the initial state and is never written. Entry i of a batch array is the i-th window of the batch.
   gapcast/core/learning defines the formulas, their sources and their constants: each file names the modules there.
   step_struct.py repeats the names, order and types of the members. */

#ifndef GAPCAST_ENSEMBLE_H
#define GAPCAST_ENSEMBLE_H

#include "gapcast.h"

#define N_BINS 48
#define N_QUANTITIES 3
#define N_LEVELS 4
#define N_SITUATIONS (N_QUANTITIES * N_LEVELS + 1)
#define N_KNOTS 33
#define N_MEAN_KNOTS 17
#define N_MEAN_ENTRIES (N_MEAN_KNOTS * N_LEVELS * N_LEVELS)
/* Horizon up to which the outcomes of successive forecasts count fully, minutes. */
#define NEAR_MIN 5
#define N_BLOCKS 5
#define N_STORED 3
#define N_STEP_KW 6
#define N_STEP_TIMES 7
#define N_ANALOG_KW 3
#define N_HIDDEN_INPUTS 4
#define N_AGES 9
#define N_LONGER 12
#define N_CELLS (2 * N_AGES * N_LONGER)
/* Largest numbers of members and of feature columns: sizes of arrays on the stack. */
#define MAX_MEMBERS 64
#define MAX_WIDTH 320
/* Largest absolute feature and change of the online model, in units of the device's scale. */
#define RLS_LIMIT 100.0

enum { SCALE, N_OUTCOMES, LOG_WIDTH, LOWEST, N_SEEN };
struct step {
    /* sizes and indices */
    int64_t context, n_models, n_medians, n_members, n_outputs, refit, has_bounds;
    int64_t n_columns, width, n_lags, n_stretches, n_kw, first_hidden, n_hidden, n_inputs, n_slots, horizon_min;
    int64_t n_analogs, n_phases;
    /* options */
    double min_kw, low_kw, high_kw, forgetting, hidden_limit;
    /* tables: indices among the outputs of each model's mean [n_models] and median [n_models], and of the first model's
       outer quantiles [2]; members with a median [n_medians]; edges of the stretches [n_stretches, 2]; of the hidden
       features places and weights [4, n_hidden], offsets [n_hidden], means and spreads [n_inputs]; sine and cosine of
       each minute of the day [1440, 2], weights of the last steps [60], logarithms of the prior weights [E] */
    const int64_t *means_at, *medians_at, *outer_at, *medians, *edges, *places;
    const float *weights, *offsets, *means, *spreads, *on_circle;
    const double *recent, *log_prior;
    /* state: seen [R, 4], lowest_powers [R, 3], memory [R, 3, 2, S, E], specialists [R, 2, S, E], mean_correction [R, 2, M, L, L],
       median_calibration [R, 2, K], median_threshold [R, 2], coefficients [R, 2, D], covariance [R, P], inside [R],
       usual [R, 2, 48], phase_shares and phase_outcomes [R, cells], and per slot due_minute, due_columns
       [first_hidden], due [2 E + 7], due_levels [3] */
    double *seen;
    float *lowest_powers, *memory, *specialists, *mean_correction, *median_calibration, *median_threshold, *coefficients, *covariance;
    float *inside, *usual;
    int16_t *phase_shares;
    uint8_t *phase_outcomes;
    int64_t *due_minute;
    float *due_columns;
    double *due;
    float *due_levels;
    /* newest_entry [R]: the entry of the batch whose outcomes a device has not learned yet, or -1 */
    int32_t *newest_entry;
    /* batch: rows of the state, minutes, local minutes of the day of the target, half hours of the day now and at the
       target [N, 2], whether the newest minute was measured, windows [N, context], outputs of the models at the horizon
       [N, n_outputs], mean and median of each member [N, 2, E]; the caller sets the forests' values */
    int64_t *rows, *minutes, *target_of_day, *bins;
    uint8_t *is_measured;
    float *windows, *outputs;
    double *members_kw;
    /* results: feature columns [N, D], published [N, 4], median before the threshold [N], shares [N, 2, E], scale and
       log(width) [N], levels [N, 3], the lowest published power [N] */
    float *columns;
    double *kw, *combined_median_kw, *shares, *scale_kw, *log_width, *levels, *floor_kw;
    /* outcomes, as in outcomes.py, and their number */
    int64_t *outcome_rows, *outcome_minutes;
    double *actual_kw, *last_kw, *outcome_members_kw, *published_kw;
    int64_t n_outcomes;
    /* the first entry of gapcast_forecast */
    int64_t first;
};

/* Writes the mean changes after analogs of the window that ends at `last`, kW; step->n_analogs must not be 0. */
void write_analogs(const float *last, int64_t context, int64_t horizon_min, float scale_kw, float *kw);
/* Writes the hidden features, which are functions of the columns before them, and zeros as padding. All are 0 if the
   other columns are: nothing is learned from a replaced forecast. */
void complete_columns(const struct step *step, float *columns);
void write_columns(const struct step *step, int64_t entry, double scale_kw, double typical_kw, double phase_kw);

/* The expected change after the phase at `last`, kW, by the table of a device; and the learning from the change. */
double phase_change_kw(const struct step *step, int64_t row, const float *last, int64_t n_minutes);
void update_phases(const struct step *step, int64_t row, const float *last, int64_t n_minutes, double change_kw);

/* The number of columns of a block of the covariance without padding. */
static inline int64_t columns_of(int64_t block, int64_t size, int64_t n_columns)
{
    int64_t n = n_columns - block % N_BLOCKS * size;
    return n < 0 ? 0 : n < size ? n : size;
}

/* Increases all variances if the covariance, in blocks of `size`, is not positive definite. */
void restore_positive_definite(float *packed, int64_t size, int64_t n_columns);
double rls_product(const float *coefficients, const float *columns, int64_t width);
int rls_update(float *coefficients, float *covariance, float *inside, const float *columns, int64_t n_columns,
               double actual, double n_outcomes, double forgetting);

void levels_of(const struct step *step, const float *window, double change_kw, double scale_kw, double *levels);
void memberships_of(const double *levels, double *memberships);
void weights_of(const float *specialists, const double *memberships, int64_t n_members, double *shares);
void update_memory(float *memory, const double *members_kw, const double *published_kw, double actual_kw,
                   double scale_kw, const double *memberships, int64_t n_members, int64_t horizon_min, float *rates);
void specialists_of(const float *regrets, const float *rates, const double *log_prior, int64_t n_members,
                    float *specialists);

/* The offset of the mean, in scales, for the prediction of the last member before persistence, by the table
   [2, M, L, L] of a device. */
double mean_offset(const float *table, double change, const double *levels);
void update_mean_offsets(float *table, double change, const double *levels, double error, int64_t horizon_min);

/* The offset of the median, in scales, for a predicted `change` of the mean, by the knots [2, K] of a device. */
double median_offset(const float *knots, double change);
void update_median_offsets(float *knots, double change, double error, int64_t horizon_min);

/* The published change of the median, in scales, for a `change`, by the threshold [2] of a device. */
double reduced_change(const float *threshold, double change);
void update_median_threshold(float *threshold, double change, double error, int64_t horizon_min);

void learn_from_entry(struct step *step, int64_t entry);

#endif
