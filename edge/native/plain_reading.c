/* Reads plain readings: JSON objects with only "ts" and "gap_kw", as gapcast/mqtt/payloads.py reads them.

   The bytes come from outside: each read is guarded by a comparison with the end of the payload. */

#include <string.h>

#include "plain_reading.h"

/* Largest number of digits of a number whose integer, and the power of ten that divides it, are exact doubles. */
#define N_EXACT_DIGITS 15
#define EARLIEST_MS 946684800000
#define LATEST_MS 4102444800000
#define MILLISECONDS_FROM 100000000000
#define FIRST_YEAR 2000
#define FIRST_DAY 10957
#define SECOND_MS 1000
#define MINUTE_MS 60000
#define DAY_S 86400
#define INSTANT_LENGTH 20

struct reader {
    const uint8_t *at, *end;
};

static inline void skip_space(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\t' || *reader->at == '\n' || *reader->at == '\r'))
        reader->at++;
}

static inline int take(struct reader *reader, uint8_t byte)
{
    if (reader->at == reader->end || *reader->at != byte)
        return 0;
    reader->at++;
    return 1;
}

static inline int take_text(struct reader *reader, const char *text, int64_t n)
{
    if (reader->end - reader->at < n || memcmp(reader->at, text, (size_t)n) != 0)
        return 0;
    reader->at += n;
    return 1;
}

static inline int is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

/* Appends digits to `value`, up to N_EXACT_DIGITS including the `n_before` earlier ones; returns the number read. */
static int64_t take_digits(struct reader *reader, int64_t n_before, int64_t *value)
{
    int64_t n = 0;
    while (reader->at < reader->end && is_digit(*reader->at) && n_before + n < N_EXACT_DIGITS) {
        *value = 10 * *value + (*reader->at++ - '0');
        n++;
    }
    return n;
}

/* Reads a number without an exponent that is not -0; returns whether it has read one. */
static int take_power(struct reader *reader, double *gap_kw)
{
    static const double powers_of_ten[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                           1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    int64_t value = 0, n_decimals = 0;
    const int is_negative = take(reader, '-');
    const int starts_with_0 = reader->at < reader->end && *reader->at == '0';
    const int64_t n_digits = take_digits(reader, 0, &value);
    if (!n_digits || (starts_with_0 && n_digits > 1))
        return 0;
    if (take(reader, '.')) {
        n_decimals = take_digits(reader, n_digits, &value);
        if (!n_decimals)
            return 0;
    }
    if (is_negative && !value)
        return 0;
    const double magnitude = (double)value / powers_of_ten[n_decimals];
    *gap_kw = is_negative ? -magnitude : magnitude;
    return 1;
}

/* Returns the number in `n` digits, or -1. */
static int64_t number_of(const uint8_t *digits, int64_t n)
{
    int64_t value = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!is_digit(digits[i]))
            return -1;
        value = 10 * value + (digits[i] - '0');
    }
    return value;
}

/* Returns the instant, epoch ms, of 20 bytes such as 2010-11-01T00:29:00Z, from 2000 to 2099; 0 for other bytes. */
static int64_t instant_of(const uint8_t *text)
{
    static const int64_t days_before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != 'Z')
        return 0;
    const int64_t year = number_of(text, 4) - FIRST_YEAR, month = number_of(text + 5, 2), day = number_of(text + 8, 2);
    const int64_t hour = number_of(text + 11, 2), minute = number_of(text + 14, 2), second = number_of(text + 17, 2);
    if (year < 0 || year > 99 || month < 1 || month > 12 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 59)
        return 0;
    const int is_leap = year % 4 == 0;
    if (day < 1 || day > days_before[month] - days_before[month - 1] + (is_leap && month == 2))
        return 0;
    const int64_t n_leap_days = (year + 3) / 4 + (is_leap && month > 2);
    const int64_t days = FIRST_DAY + 365 * year + n_leap_days + days_before[month - 1] + day - 1;
    return SECOND_MS * (DAY_S * days + 3600 * hour + 60 * minute + second);
}

/* Reads a time, as text or as an integer; returns the instant, epoch ms, or 0. */
static int64_t take_instant(struct reader *reader)
{
    int64_t instant_ms = 0;
    if (take(reader, '"')) {
        if (reader->end - reader->at <= INSTANT_LENGTH)
            return 0;
        instant_ms = instant_of(reader->at);
        reader->at += INSTANT_LENGTH;
        return take(reader, '"') ? instant_ms : 0;
    }
    const int starts_with_0 = reader->at < reader->end && *reader->at == '0';
    const int64_t n_digits = take_digits(reader, 0, &instant_ms);
    if (!n_digits || starts_with_0)
        return 0;
    if (instant_ms < MILLISECONDS_FROM)
        instant_ms *= SECOND_MS;
    return instant_ms >= EARLIEST_MS && instant_ms < LATEST_MS ? instant_ms : 0;
}

int64_t minute_of_reading(const uint8_t *payload, const uint8_t *end, double *gap_kw)
{
    struct reader reader = {payload, end};
    int64_t instant_ms = 0;
    int has_power = 0;
    skip_space(&reader);
    if (!take(&reader, '{'))
        return 0;
    for (int i = 0; i < 2; i++) {
        skip_space(&reader);
        const int is_time = take_text(&reader, "\"ts\"", 4);
        if (!is_time && !take_text(&reader, "\"gap_kw\"", 8))
            return 0;
        skip_space(&reader);
        if (!take(&reader, ':'))
            return 0;
        skip_space(&reader);
        if (is_time)
            instant_ms = take_instant(&reader);
        else
            has_power = take_power(&reader, gap_kw);
        skip_space(&reader);
        if (!take(&reader, i ? '}' : ','))
            return 0;
    }
    skip_space(&reader);
    return reader.at == reader.end && has_power ? instant_ms / MINUTE_MS : 0;
}
