/* What becomes of the last step of a load: phase_table.py. */

#include <math.h>

#include "ensemble.h"

#define LONGEST_MIN 180
#define LEAST_STEP_KW 0.15f
#define RANK 4
#define PART 0.8
#define N_STEPS 3
#define N_SIDE 5
#define RESOLUTION 2.0
#define LONGER_UNIT_MIN 1.5
#define PRIOR_N 3.0
#define MOST_N 255
#define WHOLE 32767.0

/* Minutes that are searched at once: compilers vectorise it. */
#define N_AT_ONCE 16

struct load_step {
    double height_kw, age;
};

static float change_at(const float *last, int64_t back) { return last[-back] - last[-back - 1]; }

static int is_part_of_step(float change_kw) { return fabsf(change_kw) >= LEAST_STEP_KW; }

/* Returns the newest minute at least `back` back that is part of a step, `n` or more if there is none. */
WIDE static int64_t newest_part(const float *last, int64_t n, int64_t back)
{
    for (; back + N_AT_ONCE <= n; back += N_AT_ONCE) {
        const float *oldest = last - back - N_AT_ONCE;
        int is_any = 0;
        for (int64_t k = 0; k < N_AT_ONCE; k++)
            is_any |= fabsf(oldest[k + 1] - oldest[k]) >= LEAST_STEP_KW;
        if (is_any)
            break;
    }
    while (back < n && !is_part_of_step(change_at(last, back)))
        back++;
    return back;
}

/* Writes the steps among the newest `n` changes, the newest first, and returns their number. */
static int64_t find_steps(const float *last, int64_t n, struct load_step *steps)
{
    int64_t n_steps = 0;
    for (int64_t back = newest_part(last, n, 0); back < n; back = newest_part(last, n, back)) {
        double minute = (double)back, newer_kw = (double)change_at(last, back), older_kw = 0.0;
        if (++back < n) {
            float change_kw = change_at(last, back);
            if (is_part_of_step(change_kw) && (change_kw > 0.0f) == (newer_kw > 0.0)) {
                older_kw = (double)change_kw;
                back++;
            }
        }
        steps[n_steps].height_kw = newer_kw + older_kw;
        steps[n_steps].age = (newer_kw * minute + older_kw * (minute + 1.0)) / steps[n_steps].height_kw;
        n_steps++;
    }
    return n_steps;
}

/* Returns the height of the RANK-th largest step, kW, 0 if there are fewer. */
static double reference_of(const struct load_step *steps, int64_t n_steps)
{
    double largest[RANK] = {0.0};
    for (int64_t i = 0; i < n_steps; i++) {
        double size_kw = fabs(steps[i].height_kw);
        if (size_kw <= largest[RANK - 1])
            continue;
        int64_t place = RANK - 1;
        for (; place > 0 && largest[place - 1] < size_kw; place--)
            largest[place] = largest[place - 1];
        largest[place] = size_kw;
    }
    return largest[RANK - 1];
}

static int64_t place_of(double value, int64_t most)
{
    double place = floor(RESOLUTION * log1p(value));
    return place < (double)most ? (int64_t)place : most;
}

/* Returns the height of the step that the phase at `last` began with, kW, 0 if there is none, and writes its cell. */
static double find_phase(const float *last, int64_t n_minutes, int64_t *cell)
{
    struct load_step steps[LONGEST_MIN];
    int64_t n = (n_minutes < LONGEST_MIN ? n_minutes : LONGEST_MIN) - 1, n_steps = find_steps(last, n, steps);
    double smallest_kw = PART * reference_of(steps, n_steps), ages[N_STEPS], newest_kw = 0.0;
    int64_t n_found = 0;
    for (int64_t i = 0; i < n_steps && n_found < N_STEPS; i++) {
        if (fabs(steps[i].height_kw) < smallest_kw)
            continue;
        if (n_found == 0)
            newest_kw = steps[i].height_kw;
        ages[n_found++] = steps[i].age;
    }
    if (n_found == 0)
        return 0.0;
    int64_t by_longer = N_LONGER - 1;
    if (n_found == N_STEPS) {
        double longer = ages[0] - (ages[2] - ages[1]);
        int64_t away = place_of(fabs(longer) / LONGER_UNIT_MIN, N_SIDE);
        by_longer = N_SIDE + (longer < 0.0 ? -away : away);
    }
    *cell = ((newest_kw > 0.0 ? N_AGES : 0) + place_of(ages[0], N_AGES - 1)) * N_LONGER + by_longer;
    return newest_kw;
}

double phase_change_kw(const struct step *step, int64_t row, const float *last, int64_t n_minutes)
{
    int64_t cell = 0;
    double height_kw = find_phase(last, n_minutes, &cell);
    return height_kw != 0.0 ? -height_kw * ((double)step->phase_shares[row * N_CELLS + cell] / WHOLE) : 0.0;
}

void update_phases(const struct step *step, int64_t row, const float *last, int64_t n_minutes, double change_kw)
{
    int64_t cell = 0;
    double height_kw = find_phase(last, n_minutes, &cell);
    double share_undone = -change_kw / height_kw;
    if (height_kw == 0.0 || isnan(share_undone))
        return;
    int16_t *share = step->phase_shares + row * N_CELLS + cell;
    uint8_t *n_outcomes = step->phase_outcomes + row * N_CELLS + cell;
    double undone = WHOLE * max_of(min_of(share_undone, 1.0), 0.0), before = (double)*share;
    if (*n_outcomes < MOST_N)
        ++*n_outcomes;
    *share = (int16_t)rint(before + (undone - before) / ((double)*n_outcomes + PRIOR_N));
}
