/* The change after the last step of a load: phase_table.py. */

#include <math.h>
#include <string.h>

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

/* Number of minutes without a step that are skipped at once. */
#define N_AT_ONCE 8

/* A step: its changes in one or two minutes, kW, and the newer minute. */
struct load_step {
    double newer_kw, older_kw;
    int64_t back;
};

/* Writes for each of `n` changes after `oldest` whether it is part of a step upwards (1), downwards (-1) or of none
   (0). */
WIDE static void find_directions(const float *oldest, int64_t n, int8_t *directions)
{
    for (int64_t k = 0; k < n; k++) {
        float change_kw = oldest[k + 1] - oldest[k];
        directions[k] = (int8_t)((change_kw >= LEAST_STEP_KW) - (change_kw <= -LEAST_STEP_KW));
    }
}

/* Writes the minutes in which the steps among `n` changes end, the newest first, and whether each step includes the
   minute before; returns their number. Only the skip of minutes without a step branches: a processor would mispredict
   half of the branches on single changes. */
static int64_t find_ends(const int8_t *directions, int64_t n, int16_t *ends, uint8_t *takes_two)
{
    int64_t n_steps = 0;
    int is_taken = 0;
    for (int64_t k = n - 1; k >= 0; k--) {
        uint64_t eight = 1;
        if (k >= N_AT_ONCE - 1)
            memcpy(&eight, directions + k - (N_AT_ONCE - 1), N_AT_ONCE);
        if (eight == 0) {
            k -= N_AT_ONCE - 1;
            continue;
        }
        int is_end = (directions[k] != 0) & !is_taken;
        is_taken = is_end & (k > 0) & (directions[k] == directions[k > 0 ? k - 1 : 0]);
        ends[n_steps] = (int16_t)k;
        takes_two[n_steps] = (uint8_t)is_taken;
        n_steps += is_end;
    }
    return n_steps;
}

/* Returns `value`, or 0 unless `is_kept`, without a branch; a product would not be 0 for an infinite value. */
static float zero_unless(int is_kept, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits &= 0u - (uint32_t)is_kept;
    memcpy(&value, &bits, sizeof bits);
    return value;
}

/* Writes the steps among the newest `n` changes, the newest first, and returns their number. */
static int64_t find_steps(const float *last, int64_t n, struct load_step *steps)
{
    int8_t directions[LONGEST_MIN];
    int16_t ends[LONGEST_MIN];
    uint8_t takes_two[LONGEST_MIN];
    const float *oldest = last - n;
    find_directions(oldest, n, directions);
    int64_t n_steps = find_ends(directions, n, ends, takes_two);
    for (int64_t i = 0; i < n_steps; i++) {
        int64_t end = ends[i], two = takes_two[i];
        steps[i].newer_kw = (double)(oldest[end + 1] - oldest[end]);
        steps[i].older_kw = (double)zero_unless(two != 0, oldest[end - two + 1] - oldest[end - two]);
        steps[i].back = n - 1 - end;
    }
    return n_steps;
}

static double height_of(const struct load_step *step) { return step->newer_kw + step->older_kw; }

/* Returns the minutes since a step. */
static double age_of(const struct load_step *step)
{
    double minute = (double)step->back;
    return (step->newer_kw * minute + step->older_kw * (minute + 1.0)) / height_of(step);
}

/* Returns the height of the RANK-th largest step, kW; 0 if there are fewer steps. */
static double reference_of(const struct load_step *steps, int64_t n_steps)
{
    double largest[RANK] = {0.0};
    for (int64_t i = 0; i < n_steps; i++) {
        double size_kw = fabs(height_of(steps + i));
        for (int64_t place = 0; place < RANK; place++) {
            double larger_kw = largest[place] > size_kw ? largest[place] : size_kw;
            size_kw = largest[place] > size_kw ? size_kw : largest[place];
            largest[place] = larger_kw;
        }
    }
    return largest[RANK - 1];
}

static int64_t place_of(double value, int64_t most)
{
    double place = floor(RESOLUTION * log1p(value));
    return place < (double)most ? (int64_t)place : most;
}

/* Returns the height of the step with which the phase at `last` began, kW, 0 without a step, and writes its cell. */
static double find_phase(const float *last, int64_t n_minutes, int64_t *cell)
{
    struct load_step steps[LONGEST_MIN];
    int64_t n = (n_minutes < LONGEST_MIN ? n_minutes : LONGEST_MIN) - 1, n_steps = find_steps(last, n, steps);
    double smallest_kw = PART * reference_of(steps, n_steps), ages[N_STEPS], newest_kw = 0.0;
    int64_t n_found = 0;
    for (int64_t i = 0; i < n_steps && n_found < N_STEPS; i++) {
        if (fabs(height_of(steps + i)) < smallest_kw)
            continue;
        if (n_found == 0)
            newest_kw = height_of(steps + i);
        ages[n_found++] = age_of(steps + i);
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
