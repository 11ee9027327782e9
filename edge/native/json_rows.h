/* Writes numbers as JSON, and packets around them: json_numbers.c and json_rows.c. Each function returns whether it has
   written the value. */

#ifndef GAPCAST_JSON_ROWS_H
#define GAPCAST_JSON_ROWS_H

#include <string.h>

#include "gapcast.h"

/* Sizes of a packet: the largest head, before the topic, and the flag of QoS 1. */
#define MAX_HEAD 5
#define AT_LEAST_ONCE 0x02

struct writer {
    uint8_t *at, *end;
};

static inline int put(struct writer *writer, const uint8_t *bytes, int64_t n)
{
    if (n > writer->end - writer->at)
        return 0;
    if (n == 1)
        *writer->at = *bytes;
    else
        memcpy(writer->at, bytes, (size_t)n);
    writer->at += n;
    return 1;
}

/* A whole number below 1e15, and a number with NUMBER_DECIMALS decimals as written by Python's repr. */
int put_integer(struct writer *writer, double value);
int put_number(struct writer *writer, double value);
/* A float32 from 0 to below 1000, with three decimals. */
int put_weight(struct writer *writer, double value);
/* Completes the packet whose variable header is at `body` + MAX_HEAD: moves it behind its head, and returns the number
   of bytes moved. */
int64_t close_packet(struct writer *writer, uint8_t *body, int64_t head);

#endif
