/* The columns of an outlook's online correction: correction_features.py. */

#include "outlook.h"

#define N_STRETCHES 7
#define N_EDGES (N_STRETCHES + 1)
#define N_MODEL 6
#define N_MODEL_MEANS 2
#define N_USUAL_COLUMNS 4
#define N_ANGLES 4
#define BIAS 3.0

static const int64_t STRETCHES[N_EDGES] = {1, 3, 6, 10, 15, 30, 60, 120};
static const int64_t USUAL_MIN[N_USUAL_COLUMNS] = {0, 15, 30, 60};
static const int64_t DAY_MIN = 1440;

/* The sum of the values before `last`, from `begin` to before `end` minutes back. */
static double sum_back(const float *last, int64_t begin, int64_t end)
{
    double sum = 0.0;
    for (int64_t i = begin; i < end; i++)
        sum += (double)last[-i];
    return sum;
}

static float hour_of(const float *quarters)
{
    float sum = 0.0f;
    for (int64_t i = 0; i < N_QUARTERS; i++)
        sum += quarters[i];
    return sum / (float)N_QUARTERS;
}

/* Writes the columns of the entry from the model's outlook `model_kw` and the published forecast's difference
   `away_kw`. */
void write_outlook_columns(const struct outlook_step *step, int64_t entry, const double *model_kw,
                           const double *away_kw, double scale_kw)
{
    int64_t row = step->rows[entry], local = step->local[entry], n = 0;
    const float *last = step->windows + (entry + 1) * step->context - 1;
    const float *quarters = step->quarters + entry * 2 * N_QUARTERS, *usual = step->usual + row * 2 * N_USUAL_BINS;
    const int64_t *differing = step->places + N_MODEL;
    const double *recent = step->recent + row * N_RECENT, *angles = step->on_circle + local * N_ANGLES;
    double columns[N_INPUTS], last_kw = (double)*last;
    for (int64_t i = 0; i < N_STATISTICS; i++)
        columns[n++] = away_kw[i];
    for (int64_t i = 0; i < N_MODEL; i++)
        columns[n++] = model_kw[step->places[i]] - last_kw;
    for (int64_t i = 0; i < N_STRETCHES; i++)
        columns[n++] = sum_back(last, STRETCHES[i], STRETCHES[i + 1]) / (double)(STRETCHES[i + 1] - STRETCHES[i]) - last_kw;
    for (int64_t i = 0; i < N_USUAL_COLUMNS; i++) {
        int64_t bin = (local + USUAL_MIN[i]) % DAY_MIN / USUAL_BIN_MIN;
        columns[n++] = (usual[N_USUAL_BINS + bin] > 0.0f ? (double)usual[bin] : last_kw) - last_kw;
    }
    for (int64_t i = 0; i < 2; i++)
        columns[n++] = step->has_history ? (double)hour_of(quarters + i * N_QUARTERS) - last_kw : last_kw - last_kw;
    columns[n++] = last_kw;
    for (int64_t i = 0; i < N_MODEL_MEANS; i++)
        columns[n++] = model_kw[differing[i]] - model_kw[differing[N_MODEL_MEANS + i]];
    for (int64_t i = 0; i < n; i++)
        columns[i] /= scale_kw;
    for (int64_t i = 0; i < N_RECENT; i++)
        columns[n++] = recent[i];
    for (int64_t i = 0; i < N_ANGLES; i++)
        columns[n++] = angles[i];
    columns[n] = BIAS;
    for (int64_t i = 0; i < N_INPUTS; i++)
        step->columns[entry * N_INPUTS + i] = (float)within(columns[i], COLUMN_LIMIT);
}
