/* The payload of a plain reading. */

#ifndef PLAIN_READING_H
#define PLAIN_READING_H

#include "gapcast.h"

/* Reads {"ts": ..., "gap_kw": ...}, in either order; returns the minute, and sets the power. Returns 0, so that Python
   reads it, for any other payload, or if a value cannot be read exactly here. */
int64_t minute_of_reading(const uint8_t *payload, const uint8_t *end, double *gap_kw);

#endif
