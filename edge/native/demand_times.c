/* Writes times of demands as RFC 3339 text, as gapcast/core/time_grid.py does. */

#include "demand_times.h"

#define MAX_DAY 2932896
/* Number of characters of a time to the minute. */
#define N_OF_MINUTE 16

static void write_two(uint8_t *text, int64_t number)
{
    text[0] = (uint8_t)('0' + number / 10);
    text[1] = (uint8_t)('0' + number % 10);
}

/* Writes a minute as in RFC 3339; the date by "chrono-Compatible Low-Level Date Algorithms" (H. Hinnant, 2013). */
static int put_time(struct writer *writer, int64_t minute)
{
    uint8_t text[] = "0000-00-00T00:00";
    const int64_t day = floor_divide(minute, 1440), of_day = floor_modulo(minute, 1440);
    if (day < 0 || day > MAX_DAY)
        return 0;
    const int64_t since = day + 719468, era = since / 146097, of_era = since - era * 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t from_march = (5 * of_year + 2) / 153, month = from_march + (from_march < 10 ? 3 : -9);
    const int64_t year = year_of_era + era * 400 + (month <= 2);
    write_two(text, year / 100);
    write_two(text + 2, year % 100);
    write_two(text + 5, month);
    write_two(text + 8, of_year - (153 * from_march + 2) / 5 + 1);
    write_two(text + 11, of_day / 60);
    write_two(text + 14, of_day % 60);
    return put(writer, text, N_OF_MINUTE);
}

int put_minute(struct writer *writer, double minute)
{
    return put_time(writer, (int64_t)minute) && put(writer, (const uint8_t *)":00Z", 4);
}

int put_instant(struct writer *writer, int64_t instant_ms)
{
    uint8_t text[] = ":00.000Z";
    const int64_t of_minute_ms = floor_modulo(instant_ms, MINUTE_MS);
    write_two(text + 1, of_minute_ms / 1000);
    write_two(text + 4, of_minute_ms % 1000 / 10);
    text[6] = (uint8_t)('0' + of_minute_ms % 10);
    return put_time(writer, floor_divide(instant_ms, MINUTE_MS)) && put(writer, text, 8);
}
