/* The features of the online model: rls_features.py, step_features.py, random_features.py; analogs.c has the others. */

#include <math.h>

#include "ensemble.h"

#define STEP_SCALES 0.75f
#define STEP_MIN 2
#define FADE_MIN 5.0
#define LONGER_UNIT_MIN 10.0
#define LONGER_LIMIT 5.0

/* Returns the age in minutes, at least `first`, of the newest step: upwards beyond `smallest` if `sign` is 1, downwards
   if it is -1; `n` without a step. */
static int64_t newest_step(const float *last, int64_t first, int64_t n, float smallest, int sign)
{
    for (int64_t back = first; back < n; back++) {
        float change = last[-back] - last[-back - 1];
        if (sign > 0 ? change > smallest : change < -smallest)
            return back;
    }
    return n;
}

static float longer(int64_t minutes)
{
    return (float)within((double)minutes / LONGER_UNIT_MIN, LONGER_LIMIT);
}

static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

static void write_steps(const float *last, int64_t context, float scale_kw, float *kw, float *times)
{
    int64_t n = context - 1;
    float smallest = scale_kw * STEP_SCALES;
    int64_t up = newest_step(last, 0, n, smallest, 1), down = newest_step(last, 0, n, smallest, -1);
    int has_up = up < n, has_down = down < n;
    int64_t begun = newest_step(last, down + 1, n, smallest, 1), ended = newest_step(last, up + 1, n, smallest, -1);
    int has_on = begun < n, has_off = ended < n;
    float before_kw = last[-at_most(up + STEP_MIN, n)];
    kw[0] = has_up ? last[-up] - before_kw : 0.0f;
    kw[1] = has_down ? last[-down] - last[-at_most(down + STEP_MIN, n)] : 0.0f;
    kw[2] = has_up ? last[0] - before_kw : 0.0f;
    double fade_up = exp((double)up / -FADE_MIN), fade_down = exp((double)down / -FADE_MIN);
    kw[3] = (float)((double)kw[0] * fade_up);
    kw[4] = (float)((double)kw[1] * fade_down);
    kw[5] = (float)((double)kw[2] * fade_up);
    int64_t last_on = has_on ? begun - down : context, last_off = has_off ? ended - up : context;
    times[0] = (float)log1p((double)up);
    times[1] = (float)log1p((double)down);
    times[2] = (float)log1p((double)last_on);
    times[3] = (float)log1p((double)last_off);
    times[4] = has_up && has_on ? longer(up - last_on) : 0.0f;
    times[5] = has_down && has_off ? longer(down - last_off) : 0.0f;
    times[6] = up < down ? 1.0f : 0.0f;
}

/* In separate loops, because compilers do not vectorise a division next to a comparison. */
WIDE static void scale_inputs(const float *restrict columns, const float *restrict means, const float *restrict spreads,
                              float limit, int64_t n, float *restrict inputs)
{
    for (int64_t i = 0; i < n; i++)
        inputs[i] = (columns[i] - means[i]) / spreads[i];
    for (int64_t i = 0; i < n; i++)
        inputs[i] = not_above_f(inputs[i], limit);
    for (int64_t i = 0; i < n; i++)
        inputs[i] = not_below_f(inputs[i], -limit);
}

WIDE static void write_hidden(const float *restrict inputs, const int64_t *restrict places,
                              const float *restrict weights, const float *restrict offsets, float bias, int64_t n,
                              float *restrict hidden)
{
    for (int64_t unit = 0; unit < n; unit++)
        hidden[unit] = inputs[places[unit]] * weights[unit];
    for (int64_t i = 1; i < N_HIDDEN_INPUTS; i++)
        for (int64_t unit = 0; unit < n; unit++)
            hidden[unit] += inputs[places[i * n + unit]] * weights[i * n + unit];
    for (int64_t unit = 0; unit < n; unit++)
        hidden[unit] = not_below_f(hidden[unit] + offsets[unit], 0.0f) * bias;
}

void complete_columns(const struct step *step, float *columns)
{
    float *hidden = columns + step->first_hidden, bias = columns[step->n_kw];
    float inputs[MAX_WIDTH];
    scale_inputs(columns, step->means, step->spreads, (float)step->hidden_limit, step->n_inputs, inputs);
    write_hidden(inputs, step->places, step->weights, step->offsets, bias, step->n_hidden, hidden);
    for (int64_t i = step->first_hidden + step->n_hidden; i < step->width; i++)
        columns[i] = 0.0f;
}

void write_columns(const struct step *step, int64_t entry, double scale_kw, double typical_kw, double phase_kw)
{
    float *columns = step->columns + entry * step->width;
    const double *members_kw = step->members_kw + entry * 2 * step->n_members;
    const float *window = step->windows + entry * step->context, *last = window + step->context - 1;
    int64_t n = 0;
    for (int64_t i = 0; i < step->n_models; i++)
        columns[n++] = (float)members_kw[i];
    for (int64_t i = 0; i < step->n_medians; i++)
        columns[n++] = (float)members_kw[step->n_members + step->medians[i]];
    for (int64_t lag = 1; lag <= step->n_lags; lag++)
        columns[n++] = last[-lag];
    for (int64_t i = 0; i < step->n_stretches; i++) {
        int64_t first = step->edges[2 * i], end = step->edges[2 * i + 1];
        double sum = 0.0;
        for (int64_t at = first; at < end; at++)
            sum += (double)window[at];
        columns[n++] = (float)(sum / (double)(end - first));
    }
    for (int64_t i = 0; i < n; i++)
        columns[i] -= *last;
    columns[n++] = *last;
    columns[n++] = (float)(typical_kw - (double)*last);
    if (step->n_phases)
        columns[n] = (float)phase_kw;
    float scale = (float)scale_kw;
    float *analogs = columns + step->n_kw - step->n_analogs;
    write_steps(last, step->context, scale, analogs - N_STEP_KW, columns + step->first_hidden - N_STEP_TIMES);
    if (step->n_analogs)
        write_analogs(last, step->context, step->horizon_min, scale, analogs);
    for (int64_t i = 0; i < step->n_kw; i++)
        columns[i] = within_f(columns[i] / scale, (float)RLS_LIMIT);
    columns[step->n_kw] = 1.0f;
    columns[step->n_kw + 1] = step->on_circle[2 * step->target_of_day[entry]];
    columns[step->n_kw + 2] = step->on_circle[2 * step->target_of_day[entry] + 1];
    complete_columns(step, columns);
}
