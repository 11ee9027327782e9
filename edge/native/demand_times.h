/* Writes times as text: demand_times.c. Each function returns whether it has written the time. */

#ifndef GAPCAST_DEMAND_TIMES_H
#define GAPCAST_DEMAND_TIMES_H

#include "json_rows.h"

#define MINUTE_MS 60000

int put_minute(struct writer *writer, double minute);
int put_instant(struct writer *writer, int64_t instant_ms);

#endif
