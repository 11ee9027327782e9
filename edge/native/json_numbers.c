/* Writes numbers as JSON, like Python's repr of a float rounded to NUMBER_DECIMALS, and like "%.3f". */

#include <math.h>
#include <string.h>

#include "json_rows.h"

#define NUMBER_SCALE 1e6
#define NUMBER_DECIMALS 6
#define WEIGHT_SCALE 1e3
#define WEIGHT_DECIMALS 3
/* Below this limit a rounded number has at most 15 significant digits: its shortest decimal form is the form of the
   integer that it was rounded to. */
#define NUMBER_LIMIT 1e9
#define WEIGHT_LIMIT 1e3
#define INTEGER_LIMIT 1e15
/* Smaller integers of NUMBER_SCALE are written with an exponent: Python's repr uses it below 1e-4. */
#define WITH_EXPONENT 100
#define MAX_DIGITS 32

/* Writes `magnitude` with `n_decimals` decimals into the end of `digits`; returns the number of characters. */
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

/* Like "%.3f": the product is exact for a float32, and rint rounds a tie to even. */
int put_weight(struct writer *writer, double value)
{
    uint8_t digits[MAX_DIGITS];
    if (!(value >= 0.0 && value < WEIGHT_LIMIT) || (value == 0.0 && signbit(value)) || value != (double)(float)value)
        return 0;
    const int64_t n = write_digits(digits, (uint64_t)rint(value * WEIGHT_SCALE), WEIGHT_DECIMALS);
    return put(writer, digits + MAX_DIGITS - n, n);
}

/* Two digits for each number from 0 to 99. */
static const uint8_t PAIRS[] =
    "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
    "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";

/* Writes six digits. */
static inline void write_decimals(uint8_t *text, uint32_t decimals)
{
    memcpy(text, PAIRS + 2 * (decimals / 10000), 2);
    memcpy(text + 2, PAIRS + 2 * (decimals / 100 % 100), 2);
    memcpy(text + 4, PAIRS + 2 * (decimals % 100), 2);
}

/* Writes a number of any magnitude, at any place. Separate from put_number, which would need its registers. */
static __attribute__((noinline)) int put_any_number(struct writer *writer, uint64_t magnitude, int is_negative)
{
    uint8_t digits[MAX_DIGITS];
    if (is_negative && !put(writer, (const uint8_t *)"-", 1))
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
    int64_t n_decimals = NUMBER_DECIMALS;
    while (n_decimals > 1 && magnitude % 10 == 0) {
        magnitude /= 10;
        n_decimals--;
    }
    const int64_t n = write_digits(digits, magnitude, n_decimals);
    return put(writer, digits + MAX_DIGITS - n, n);
}

/* Like repr. A decimal number of at most 15 digits, without trailing zeros, is the shortest that parses to its
   double. */
int put_number(struct writer *writer, double value)
{
    if (!(value > -NUMBER_LIMIT && value < NUMBER_LIMIT))
        return 0;
    const double scaled = rint(value * NUMBER_SCALE);
    if (scaled / NUMBER_SCALE != value)
        return 0;
    const uint64_t magnitude = (uint64_t)fabs(scaled);
    const int is_negative = signbit(value) != 0;
    if (magnitude < WITH_EXPONENT || magnitude >= 10 * (uint64_t)NUMBER_SCALE || writer->end - writer->at < MAX_DIGITS)
        return put_any_number(writer, magnitude, is_negative);
    /* One digit before the point: most powers of a house, in a quarter of the instructions. */
    uint8_t *at = writer->at;
    const uint32_t whole = (uint32_t)magnitude / (uint32_t)NUMBER_SCALE;
    *at = '-';
    at += is_negative;
    at[0] = (uint8_t)('0' + whole);
    at[1] = '.';
    write_decimals(at + 2, (uint32_t)magnitude - whole * (uint32_t)NUMBER_SCALE);
    uint8_t *end = at + 2 + NUMBER_DECIMALS;
    while (end > at + 3 && end[-1] == '0')
        end--;
    writer->at = end;
    return 1;
}
