/* Numbers as JSON: as Python's repr writes a float rounded to NUMBER_DECIMALS, and as "%.3f" does. */

#include <math.h>
#include <string.h>

#include "json_rows.h"

#define NUMBER_SCALE 1e6
#define NUMBER_DECIMALS 6
#define WEIGHT_SCALE 1e3
#define WEIGHT_DECIMALS 3
/* Below it a rounded number has 15 significant digits at most: its shortest decimal form is that of the integer that it
   was rounded to. */
#define NUMBER_LIMIT 1e9
#define WEIGHT_LIMIT 1e3
#define INTEGER_LIMIT 1e15
/* Smaller integers of NUMBER_SCALE have an exponent: Python's repr uses it below 1e-4. */
#define WITH_EXPONENT 100
#define MAX_DIGITS 32

/* Writes `magnitude` with `n_decimals` of its digits after the point into the end of `digits`; returns how many. */
static int64_t write_digits(uint8_t *digits, uint64_t magnitude, int64_t n_decimals)
{
    int64_t at = MAX_DIGITS;
    const int64_t point = MAX_DIGITS - n_decimals, before_point = n_decimals ? point - 1 : point;
    while (magnitude || at >= before_point) {
        digits[--at] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
        if (n_decimals && at == point)
            digits[--at] = '.';
    }
    return MAX_DIGITS - at;
}

int put_integer(struct writer *writer, double value)
{
    uint8_t digits[MAX_DIGITS];
    if (!(fabs(value) < INTEGER_LIMIT) || value != floor(value))
        return 0;
    if (value < 0.0 && !put(writer, (const uint8_t *)"-", 1))
        return 0;
    const int64_t n = write_digits(digits, (uint64_t)fabs(value), 0);
    return put(writer, digits + MAX_DIGITS - n, n);
}

/* As "%.3f": the product is exact for a float32, and rint rounds a tie to even. */
int put_weight(struct writer *writer, double value)
{
    uint8_t digits[MAX_DIGITS];
    if (!(value >= 0.0 && value < WEIGHT_LIMIT) || (value == 0.0 && signbit(value)) || value != (double)(float)value)
        return 0;
    const int64_t n = write_digits(digits, (uint64_t)rint(value * WEIGHT_SCALE), WEIGHT_DECIMALS);
    return put(writer, digits + MAX_DIGITS - n, n);
}

static void write_pair(uint8_t *text, uint32_t pair)
{
    text[0] = (uint8_t)('0' + pair / 10);
    text[1] = (uint8_t)('0' + pair % 10);
}

/* Writes a number of NUMBER_DECIMALS decimals to `text`, without its last zeros but one; returns how many bytes. */
static int64_t write_decimals(uint8_t *text, uint64_t magnitude)
{
    const uint64_t whole = magnitude / (uint64_t)NUMBER_SCALE;
    const uint32_t decimals = (uint32_t)(magnitude - whole * (uint64_t)NUMBER_SCALE);
    uint8_t digits[MAX_DIGITS];
    int64_t n = 0;
    if (whole < 10) {
        text[n++] = (uint8_t)('0' + whole);
    } else {
        n = write_digits(digits, whole, 0);
        memcpy(text, digits + MAX_DIGITS - n, (size_t)n);
    }
    text[n++] = '.';
    write_pair(text + n, decimals / 10000);
    write_pair(text + n + 2, decimals / 100 % 100);
    write_pair(text + n + 4, decimals % 100);
    int64_t end = n + NUMBER_DECIMALS;
    while (end > n + 1 && text[end - 1] == '0')
        end--;
    return end;
}

/* As repr. A decimal number of 15 digits at most is the shortest that is read as its double, without its last zeros. */
int put_number(struct writer *writer, double value)
{
    uint8_t text[MAX_DIGITS];
    if (!(value > -NUMBER_LIMIT && value < NUMBER_LIMIT))
        return 0;
    const double scaled = rint(value * NUMBER_SCALE);
    if (scaled / NUMBER_SCALE != value)
        return 0;
    uint64_t magnitude = (uint64_t)fabs(scaled);
    if (signbit(value) && !put(writer, (const uint8_t *)"-", 1))
        return 0;
    if (magnitude && magnitude < WITH_EXPONENT) {
        uint8_t small[] = "0.0e-06";
        small[0] = (uint8_t)('0' + (magnitude < 10 ? magnitude : magnitude / 10));
        small[2] = (uint8_t)('0' + magnitude % 10);
        small[6] = magnitude < 10 ? '6' : '5';
        if (magnitude > 10 && magnitude % 10)
            return put(writer, small, 7);
        return put(writer, small, 1) && put(writer, small + 3, 4);
    }
    const int64_t n = write_decimals(text, magnitude);
    if (writer->end - writer->at < MAX_DIGITS)
        return put(writer, text, n);
    memcpy(writer->at, text, MAX_DIGITS); /* of a fixed length: the bytes after the number are written next */
    writer->at += n;
    return 1;
}
