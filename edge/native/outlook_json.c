/* The powers of outlooks as JSON: mqtt/outlook_json.py. */

#include <math.h>
#include <string.h>

#include "gapcast.h"

#define JSON_SCALE 1e6
#define JSON_DECIMALS 6
/* Millionths that a double holds with all their digits: their decimal form is the shortest one that gives the double. */
#define MOST_MILLIONTHS 1e15
/* Fewer millionths are written with an exponent. */
#define LEAST_PLAIN 10
/* The largest number of digits of a number, with sign, point and comma. */
#define MAX_NUMBER 20
#define N_LISTS 8
#define N_LISTS_OF_KIND 4

struct outlook_json {
    int64_t n_leads, n_head, row_bytes;
    /* powers of minutes and of means [N, K, 4], kW; what stands before each list [8, n_head], filled up with zeros */
    const double *point_kw, *mean_kw;
    const uint8_t *heads;
    /* results: the bytes of each row [N, row_bytes], and their number [N] */
    uint8_t *text;
    int64_t *n_bytes;
};

/* Writes a power rounded to millionths, half to even, as the shortest decimal that gives it; returns the end. */
static uint8_t *put_power(uint8_t *at, double millionths)
{
    uint8_t digits[MAX_NUMBER];
    int64_t n = 0, n_decimals = JSON_DECIMALS;
    uint64_t left = (uint64_t)fabs(millionths);
    if (signbit(millionths))
        *at++ = '-';
    if (left > 0 && left < LEAST_PLAIN) {
        *at++ = (uint8_t)('0' + left);
        memcpy(at, "e-6", 3);
        return at + 3;
    }
    while (n_decimals > 1 && left % 10 == 0) {
        left /= 10;
        n_decimals--;
    }
    while (left > 0 || n <= n_decimals) {
        digits[n++] = (uint8_t)('0' + left % 10);
        left /= 10;
    }
    while (n > 0) {
        if (n == n_decimals)
            *at++ = '.';
        *at++ = digits[--n];
    }
    return at;
}

/* Writes the lists of `n` outlooks; returns 0, or -1 if a power has too many digits or is not a number. */
EXPORT int64_t gapcast_outlook_json(struct outlook_json *json, int64_t n)
{
    for (int64_t row = 0; row < n; row++) {
        uint8_t *at = json->text + row * json->row_bytes;
        const uint8_t *begin = at;
        for (int64_t list = 0; list < N_LISTS; list++) {
            const uint8_t *head = json->heads + list * json->n_head;
            const double *kw = list < N_LISTS_OF_KIND ? json->point_kw : json->mean_kw;
            kw += row * json->n_leads * N_LISTS_OF_KIND + list % N_LISTS_OF_KIND;
            for (int64_t i = 0; i < json->n_head && head[i]; i++)
                *at++ = head[i];
            for (int64_t lead = 0; lead < json->n_leads; lead++) {
                const double millionths = rint(kw[lead * N_LISTS_OF_KIND] * JSON_SCALE);
                if (!(fabs(millionths) < MOST_MILLIONTHS))
                    return -1;
                at = put_power(at, millionths);
                *at++ = lead + 1 < json->n_leads ? ',' : ']';
            }
        }
        json->n_bytes[row] = at - begin;
    }
    return 0;
}

EXPORT int64_t gapcast_outlook_json_bytes(void) { return (int64_t)sizeof(struct outlook_json); }
