/* The demand's step: the arrays that demand_windows.c and demand_learn.c use.

   Every array belongs to numpy, is C-contiguous, and outlives the call. Row r of a state array belongs to a device,
   from 1 on; row 0 holds the initial state and is never written. Entry i of a batch array is the i-th reading of the
   batch. gapcast/core/demand defines the formulas, their sources and their constants: each file names the modules
   there. demand_struct.py repeats the names, order and types of the members. */

#ifndef GAPCAST_DEMAND_H
#define GAPCAST_DEMAND_H

#include "gapcast.h"

/* Numbers of: levels in a table of quantiles, points of a calibrated curve, features, features of the model's log-odds,
   parts of a running window, regressions per device, limits that each regression learns from, compared powers, and
   spans compared separately. Each part has a regression, and the last one, LATER, is of windows that have not begun. */
#define N_LEVELS_OF_TABLE 17
#define N_NODES 19
#define N_FEATURES 24
#define N_LINES 5
#define N_PARTS 3
#define LATER N_PARTS
#define N_REGRESSIONS (N_PARTS + 1)
#define N_DUE 5
#define N_POWERS 8
#define N_SINGLE_SPANS 4
/* Number of elements in the upper triangle of an information matrix. */
#define N_INFORMATION (N_FEATURES * (N_FEATURES + 1) / 2)
/* Largest numbers of lead times, and of the outlook model's quantiles: sizes of arrays on the stack. */
#define MAX_LEADS 64
#define MAX_QUANTILES 32
/* Indices of the levels 0.05, 0.5 and 0.95 in a table of quantiles. */
#define LOWER_LEVEL 2
#define MEDIAN_LEVEL 6
#define UPPER_LEVEL 11
/* The farthest minute ahead. */
#define FARTHEST_MIN 120
/* Minutes of the longest window, and number of values of each waiting demand. */
#define LONGEST_MIN 60
#define N_WAITING 4
/* Number of columns of a demand, and of one of its windows. */
#define N_DEMAND 32
#define N_WINDOW 13
#define N_ENTRY 17
#define N_CLOSED 5
/* Number of values of the planned power in windows: in the distributions of both windows, and in their expected means. */
#define N_PLANNED 4

enum { ROW, MINUTE, LAST_KW, FUSE_Z, SUM, N_KNOWN, START, END, NEXT_END, LIMIT, SOURCE, NEXT_LIMIT, NEXT_SOURCE, PEAK, FUSE, RISK, LEAST };
enum { POINT_MEAN, POINT_LOWER, POINT_MEDIAN, POINT_UPPER, N_POINT };
enum { CLOSED_ROW, CLOSED_START, CLOSED_END, CLOSED_KW, CLOSED_DAY };
enum { OBSERVED, ISSUED, FIRST_WINDOW };
enum { STARTS, ENDS, ELAPSED, KNOWN, SO_FAR, EXPECTED, LOWER_KW, MEDIAN_KW, UPPER_KW, LIMITS, SOURCES, P_EXCEED, HEADROOM };

struct demand_step {
    /* sizes, places, the number of sums of a device's scores, and whether the batch has planned loads */
    int64_t context, n_leads, n_levels, median, n_spans, n_sums, n_minutes_ahead, has_planned;
    /* options, and derived constants: tails of the model's curve, the largest power, the highest power of a reading and
       1 kW on the scale of powers, and the upper bound of a normal distribution */
    double highest_kw, first_tail, last_tail, most_z, highest_z, one_kw_z, z_bound;
    /* tables: steps of the model's quantiles [Q], log-odds of the points of its curve [Q + 2], weights of these points
       in the nodes [Q + 2, 19], energies by minute [121, K], sine and cosine
       of each minute of the day [1440, 2], log-odds of the nodes [19], their smallest decreases until each node
       [19], log-odds of the levels of a table [17], the prior [24], weights of the lead times in the minutes ahead
       [n_minutes_ahead, K], bounds and lengths of the spans [3, n_spans] */
    const double *steps, *curve_log_odds, *to_nodes, *energy, *on_circle, *node_log_odds, *falls, *log_odds;
    const double *prior, *minute_weights;
    const int64_t *spans;
    /* state: coefficients [R, 4, 24], information [R, 4, 300], newest_minute [R], due_minute [R, 4], n_minutes [R, 4],
       due_kw [R, 4, 5], due_features [R, 4, 5, 24], newest means [R, K, Q] and [R, 1], the newest demand
       [R, 32], and of the live scores: waiting demands [R, 60, 4], the window's start [R], and the sums [R, n_sums] */
    double *coefficients;
    float *information;
    int64_t *newest_minute, *due_minute, *n_minutes;
    double *due_kw;
    float *due_features, *stored_quantiles_kw, *stored_floor_kw;
    double *newest, *waiting;
    int64_t *start;
    double *sums;
    /* newest_entry [R]: the entry of the batch whose outcomes a device has not learned yet, or -1 */
    int32_t *newest_entry;
    /* batch: entries [N, 17], windows of readings [N, context], the model's quantiles [N, K, Q], the lowest power [N], the
       outlook's means [N, K] and single minutes [N, K, 4]; if it has planned loads, their power in windows [N, 4] and in
       the minutes ahead [N, n_minutes_ahead], which the others do not include */
    double *entries;
    float *windows;
    double *quantiles_kw, *floor_kw, *mean_kw, *point_kw, *planned_kw, *planned_minutes_kw;
    /* closed windows of the batch's devices [n_closed, 5] */
    double *closed;
    int64_t n_closed;
    /* time of issue of the batch's forecasts, ms, and the result: demands [N, 32] */
    double issued_at_ms;
    double *demands;
};

static inline int64_t smaller_int(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t between_int(int64_t a, int64_t low, int64_t high) { return a < low ? low : a > high ? high : a; }

/* The entry, a reading with the running window after it, and the state row and minute of the entry. */
static inline const double *entry_of(const struct demand_step *step, int64_t entry) { return step->entries + entry * N_ENTRY; }
static inline int64_t row_of(const struct demand_step *step, int64_t entry) { return (int64_t)entry_of(step, entry)[ROW]; }
static inline int64_t minute_of(const struct demand_step *step, int64_t entry) { return (int64_t)entry_of(step, entry)[MINUTE]; }

/* The open minutes of a window, left or unmeasured: how far ahead they begin and end, and the weights of the outlook's
   means. */
struct rest {
    int64_t ahead_from, ahead_to;
    double shares[MAX_LEADS];
    double points[MAX_QUANTILES + 2];
};

/* The inputs of the log-odds of an exceedance besides the power: exceedance_features.py. */
struct situation {
    double time[2];
    double powers[N_POWERS];
};

double scaled_of(double kw);
double unscaled_of(const struct demand_step *step, double z);
void find_rest(const struct demand_step *step, int64_t entry, int64_t ahead_from, int64_t ahead_to, struct rest *rest);
double planned_kw_of(const struct demand_step *step, int64_t entry, const struct rest *rest);
double expected_planned_kw_of(const struct demand_step *step, int64_t entry, const struct rest *rest);
double model_log_odds_of(const struct demand_step *step, const double *points, double z);
void calibrated_quantiles(const struct demand_step *step, const double *points, const struct situation *situation,
                          const double *coefficients, const double *log_odds, int64_t n, double *z);

struct situation situation_of(const struct demand_step *step, int64_t entry, double median_z);
void features_at(const struct demand_step *step, const struct situation *situation, double log_odds, double z,
                 double *features);
void log_odds_at_nodes(const struct demand_step *step, const struct situation *situation, const double *coefficients,
                       const double *nodes, double *log_odds);

void update_regression(const struct demand_step *step, double *coefficients, float *information, const float *features,
                       const double *exceeded, const double *weights);

int64_t regression_of(int64_t window_min, const struct rest *rest);
int64_t window_min_of(const struct demand_step *step, int64_t entry);
int64_t left_min_of(const struct demand_step *step, int64_t entry);
int64_t open_min_of(const struct demand_step *step, int64_t entry);
double allowed_kw_of(const struct demand_step *step, int64_t entry);
double next_allowed_kw_of(const struct demand_step *step, int64_t entry);
void limit_by_fuse(const struct demand_step *step, int64_t entry);
void learn_demand(const struct demand_step *step, int64_t entry);
int64_t record_demand(const struct demand_step *step, int64_t entry, int64_t closed_at);

#endif
