/* The live scores: demands that wait until their window is over, and sums of outcomes: live_scores.py, scores.py. */

#include <math.h>

#include "demand.h"

#define N_THIRDS 3
#define N_RELIABILITY_BINS 10
#define LEAST_P 1e-6
#define ALARM_FROM 0.5
#define N_SOURCES 3
#define N_ANNOUNCED 2

enum { THIRD_N, EVENTS, BRIER, LOG_SCORE, PERSISTENCE_BRIER, SO_FAR_N, SO_FAR_BRIER };
enum { WAITS_P, WAITS_LIMIT, WAITS_PERSISTENCE, WAITS_SO_FAR };

#define RELIABILITY 7
#define N_OF_THIRD (RELIABILITY + 3 * N_RELIABILITY_BINS)
#define WINDOWS (N_THIRDS * N_OF_THIRD)
#define ALARMS (WINDOWS + 4)
#define N_OF_ALARMS (2 + N_ANNOUNCED)
static const int64_t ANNOUNCED_MIN[N_ANNOUNCED] = {3, 5};

static void add_third(double *sums, const double *waiting, double actual_kw)
{
    const double p = waiting[WAITS_P], event = actual_kw > waiting[WAITS_LIMIT] ? 1.0 : 0.0;
    const double likely = event > 0.0 ? p : 1 - p;
    const double persistence = waiting[WAITS_PERSISTENCE] > waiting[WAITS_LIMIT] ? 1.0 : 0.0;
    const double so_far = waiting[WAITS_SO_FAR] > waiting[WAITS_LIMIT] ? 1.0 : 0.0;
    const double has_so_far = isnan(waiting[WAITS_SO_FAR]) ? 0.0 : 1.0;
    double *bin = sums + RELIABILITY + 3 * between_int((int64_t)(p * N_RELIABILITY_BINS), 0, N_RELIABILITY_BINS - 1);
    sums[THIRD_N] += 1;
    sums[EVENTS] += event;
    sums[BRIER] += (p - event) * (p - event);
    sums[LOG_SCORE] += -log(likely < LEAST_P ? LEAST_P : likely);
    sums[PERSISTENCE_BRIER] += (persistence - event) * (persistence - event);
    sums[SO_FAR_N] += has_so_far;
    sums[SO_FAR_BRIER] += has_so_far * ((so_far - event) * (so_far - event));
    bin[0] += 1;
    bin[1] += p;
    bin[2] += event;
}

static int warns(const double *waiting, int64_t source)
{
    if (source == 0)
        return waiting[WAITS_P] >= ALARM_FROM;
    return waiting[source == 1 ? WAITS_PERSISTENCE : WAITS_SO_FAR] > waiting[WAITS_LIMIT];
}

static void add_alarms(double *sums, const double *waiting, int64_t window_min, int is_above)
{
    for (int64_t source = 0; source < N_SOURCES; source++) {
        double *alarms = sums + ALARMS + source * N_OF_ALARMS;
        for (int64_t elapsed = 0; elapsed < window_min; elapsed++) {
            const double *one = waiting + elapsed * N_WAITING;
            if (isnan(one[WAITS_LIMIT]) || !warns(one, source))
                continue;
            alarms[0] += 1;
            alarms[1] += !is_above;
            for (int64_t k = 0; k < N_ANNOUNCED; k++)
                alarms[2 + k] += is_above && window_min - elapsed >= ANNOUNCED_MIN[k];
            break;
        }
    }
}

/* Adds a closed window to the sums of its device; a window without a limit or a mean does not count. */
static void add_window(double *sums, const double *waiting, double local_day, int64_t window_min, double actual_kw)
{
    int64_t last = window_min - 1;
    while (last >= 0 && isnan(waiting[last * N_WAITING + WAITS_LIMIT]))
        last--;
    if (last < 0 || isnan(actual_kw))
        return;
    for (int64_t third = 0; third < N_THIRDS; third++) {
        const double *one = waiting + window_min * third / N_THIRDS * N_WAITING;
        if (!isnan(one[WAITS_LIMIT]))
            add_third(sums + third * N_OF_THIRD, one, actual_kw);
    }
    const int is_above = actual_kw > waiting[last * N_WAITING + WAITS_LIMIT];
    double *windows = sums + WINDOWS;
    windows[0] += 1;
    windows[1] += is_above;
    windows[2] += local_day != windows[3];
    windows[3] = local_day;
    add_alarms(sums, waiting, window_min, is_above);
}

/* Adds the window of the row's waiting demands if it is closed, and clears them. Returns the index of that window. */
static int64_t score_row(const struct demand_step *step, int64_t row, int64_t closed_at)
{
    double *waiting = step->waiting + row * LONGEST_MIN * N_WAITING;
    for (int64_t i = 0; i < step->n_closed; i++) {
        const int64_t at = (closed_at + i) % step->n_closed;
        const double *closed = step->closed + at * N_CLOSED;
        if ((int64_t)closed[CLOSED_ROW] != row || (int64_t)closed[CLOSED_START] != step->start[row])
            continue;
        const int64_t window_min = between_int((int64_t)(closed[CLOSED_END] - closed[CLOSED_START]), 0, LONGEST_MIN);
        add_window(step->sums + row * step->n_sums, waiting, closed[CLOSED_DAY], window_min, closed[CLOSED_KW]);
        closed_at = at;
        break;
    }
    for (int64_t i = 0; i < LONGEST_MIN * N_WAITING; i++)
        waiting[i] = NAN;
    return closed_at;
}

/* Stores the demand of an entry. Searches closed windows from closed_at on; returns the index where one was found. */
int64_t record_demand(const struct demand_step *step, int64_t entry, int64_t closed_at)
{
    const int64_t row = row_of(step, entry);
    const double *values = step->demands + entry * N_DEMAND + FIRST_WINDOW;
    const int64_t start = (int64_t)values[STARTS], elapsed = (int64_t)values[ELAPSED];
    if (start != step->start[row]) {
        closed_at = score_row(step, row, closed_at);
        step->start[row] = start;
    }
    const double window_min = values[ENDS] - values[STARTS];
    const double drawn_kw = isnan(values[SO_FAR]) ? 0.0 : values[ELAPSED] * values[SO_FAR];
    double *waiting = step->waiting + (row * LONGEST_MIN + between_int(elapsed, 0, LONGEST_MIN - 1)) * N_WAITING;
    waiting[WAITS_P] = values[P_EXCEED];
    waiting[WAITS_LIMIT] = values[LIMITS];
    const double rest_kw = (window_min - values[ELAPSED]) * entry_of(step, entry)[LAST_KW];
    waiting[WAITS_PERSISTENCE] = (drawn_kw + rest_kw) / window_min;
    waiting[WAITS_SO_FAR] = values[SO_FAR];
    return closed_at;
}
