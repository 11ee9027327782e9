/* A batch of outcomes, in order for each device: core/forecasts/outcomes.py. */

#ifndef GAPCAST_OUTCOMES_H
#define GAPCAST_OUTCOMES_H

#include "gapcast.h"

/* Members that a function does not need may be NULL. */
struct outcomes {
    const int64_t *rows, *minutes;
    const double *actual_kw, *last_kw;
    const double *members_kw;   /* [n][2][members] */
    const double *published_kw; /* [n][N_PUBLISHED] */
};

/* The number of rows that a state of at most max_devices rows needs for n outcomes; 0 if all of them are untracked. */
static inline int64_t rows_needed(const struct outcomes *outcomes, int64_t n, int64_t max_devices)
{
    int64_t needed = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t row = outcomes->rows[i];
        if (row >= needed && row < max_devices)
            needed = row + 1;
    }
    return needed;
}

static inline int is_tracked(int64_t row, int64_t max_devices)
{
    return row >= 0 && row < max_devices;
}

#endif
