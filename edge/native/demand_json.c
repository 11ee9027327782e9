/* Demands as JSON documents and as whole watts: demand_json.py, document.py and max_power.py. */

#include <math.h>
#include <string.h>

#include "demand.h"

#define DECIMALS_SCALE 1e6
#define N_DECIMALS 6
/* Numbers whose millionths are whole numbers in double precision. */
#define LARGEST_NUMBER 1e9
/* Decimals of the smallest number without an exponent. */
#define PLAIN_FROM 100
#define MOST_DECIMALS 15
#define N_LIMIT_SOURCES 4
#define W_PER_KW 1000.0
#define LARGEST_WATTS 1e15
#define VALID_MIN 5
#define HOLD_MIN 2
#define LOWEST_W 1
#define MINUTES_OF_A_DAY 1440
/* Minutes from the epoch to the year 10,000. */
#define LATEST_MINUTE 4223376000

/* Texts [n] of demands [n, 32]: names of devices, each with a newline, and the text of issued_at, model and its version.
   text has room for n documents; numbers [n, 3] are the end of each document there, its headroom and the power that the
   house may draw, W. */
struct demand_texts {
    const double *demands;
    const char *devices, *of_batch;
    char *text;
    int64_t *numbers;
};

static const char *const SOURCE_NAMES[N_LIMIT_SOURCES] = {"\"none\"", "\"fixed\"", "\"month_peak\"", "\"set\""};

static char *put(char *at, const char *text)
{
    const size_t n = strlen(text);
    memcpy(at, text, n);
    return at + n;
}

static char *put_integer(char *at, int64_t value)
{
    char digits[24];
    int64_t n = 0;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (value < 0)
        *at++ = '-';
    while (n)
        *at++ = digits[--n];
    return at;
}

/* Writes whole / 10^decimals as Python writes the number: the shortest text, with an exponent below 0.0001. */
static char *put_decimal(char *at, int64_t whole, int64_t decimals)
{
    char digits[24], *end = put_integer(digits, whole);
    const int64_t n = end - digits;
    if (n > decimals) {
        memcpy(at, digits, (size_t)(n - decimals));
        at += n - decimals;
    } else {
        *at++ = '0';
    }
    *at++ = '.';
    char *const first = at;
    for (int64_t i = n; i < decimals; i++)
        *at++ = '0';
    const int64_t n_copied = n < decimals ? n : decimals;
    memcpy(at, end - n_copied, (size_t)n_copied);
    at += n_copied;
    while (at > first + 1 && at[-1] == '0')
        at--;
    if (at == first)
        *at++ = '0';
    return at;
}

/* Writes a number of millionths below PLAIN_FROM, as in 1.2e-05. */
static char *put_tiny(char *at, int64_t millionths)
{
    const int64_t first = millionths < 10 ? millionths : millionths / 10, second = millionths < 10 ? 0 : millionths % 10;
    *at++ = (char)('0' + first);
    if (second) {
        *at++ = '.';
        *at++ = (char)('0' + second);
    }
    return put(at, millionths < 10 ? "e-06" : "e-05");
}

/* Writes a number with six decimals, null for NaN; NULL if it is too large. */
static char *put_number(char *at, double value)
{
    if (!at || isnan(value))
        return at ? put(at, "null") : NULL;
    if (!(fabs(value) <= LARGEST_NUMBER))
        return NULL;
    if (signbit(value))
        *at++ = '-';
    const int64_t millionths = (int64_t)rint(fabs(value) * DECIMALS_SCALE);
    if (millionths > 0 && millionths < PLAIN_FROM)
        return put_tiny(at, millionths);
    return put_decimal(at, millionths, N_DECIMALS);
}

/* Writes a probability with all its digits; NULL if it has more than MOST_DECIMALS, or is written with an exponent. */
static char *put_exactly(char *at, double value)
{
    double scale = 1.0;
    if (!at || !(value >= 1e-4 && value < 1.0))
        return NULL;
    for (int64_t decimals = 1; decimals <= MOST_DECIMALS; decimals++) {
        scale *= 10.0;
        const double whole = rint(value * scale);
        if (whole / scale == value)
            return put_decimal(at, (int64_t)whole, decimals);
    }
    return NULL;
}

static char *put_two(char *at, int64_t value, char after)
{
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    *at++ = after;
    return at;
}

/* Writes the time of a minute's start; NULL for one before 1970 or after 9999. The date is that of the proleptic
   Gregorian calendar (H. Hinnant, chrono-compatible low-level date algorithms). */
static char *put_minute(char *at, double minute_value)
{
    if (!at || !(minute_value >= 0 && minute_value < (double)LATEST_MINUTE))
        return NULL;
    const int64_t minute = (int64_t)minute_value, days = minute / MINUTES_OF_A_DAY + 719468;
    const int64_t era = days / 146097, of_era = days % 146097;
    const int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * of_year + 2) / 153, day = of_year - (153 * shifted + 2) / 5 + 1;
    const int64_t month = shifted < 10 ? shifted + 3 : shifted - 9, year = year_of_era + era * 400 + (month <= 2);
    const int64_t of_day = minute % MINUTES_OF_A_DAY;
    *at++ = '"';
    *at++ = (char)('0' + year / 1000);
    *at++ = (char)('0' + year / 100 % 10);
    at = put_two(at, year % 100, '-');
    at = put_two(at, month, '-');
    at = put_two(at, day, 'T');
    at = put_two(at, of_day / 60, ':');
    at = put_two(at, of_day % 60, ':');
    return put(at, "00Z\"");
}

/* Whole watts, rounded towards minus infinity; returns whether they are a number that is not too large. */
static int find_watts(double kw, int64_t *watts)
{
    const double found = floor(kw * W_PER_KW);
    if (!(fabs(found) <= LARGEST_WATTS))
        return 0;
    *watts = (int64_t)found;
    return 1;
}

static double allowed_kw_of_rest(const double *values)
{
    const double n_minutes = values[ENDS] - values[STARTS], elapsed = isnan(values[SO_FAR]) ? 0.0 : values[ELAPSED];
    const double elapsed_kw = (elapsed > 0.0 ? values[SO_FAR] : 0.0) * elapsed;
    return (n_minutes * values[EXPECTED] - elapsed_kw) / (n_minutes - elapsed) + values[HEADROOM];
}

static int find_max_power(const double *running, const double *following, int64_t *watts)
{
    double allowed_kw = allowed_kw_of_rest(running);
    if (running[ENDS] - running[STARTS] - running[ELAPSED] <= HOLD_MIN)
        allowed_kw = smaller(allowed_kw, allowed_kw_of_rest(following));
    if (!find_watts(allowed_kw, watts))
        return 0;
    if (*watts < LOWEST_W)
        *watts = LOWEST_W;
    return 1;
}

static char *put_field(char *at, const char *name, double value)
{
    return at ? put_number(put(at, name), value) : NULL;
}

static char *put_bounds(char *at, const double *values)
{
    at = put_minute(put(at, "\"window_start\":"), values[STARTS]);
    return at ? put_minute(put(at, ",\"window_end\":"), values[ENDS]) : NULL;
}

/* Writes the fields from the expected mean to the headroom. */
static char *put_powers(char *at, const double *values, int64_t headroom_w)
{
    const int64_t source = (int64_t)values[SOURCES];
    at = put_field(at, ",\"expected_kw\":", values[EXPECTED]);
    at = put_field(at, ",\"lower_kw\":", values[LOWER_KW]);
    at = put_field(at, ",\"median_kw\":", values[MEDIAN_KW]);
    at = put_field(at, ",\"upper_kw\":", values[UPPER_KW]);
    at = put_field(at, ",\"limit_kw\":", values[LIMITS]);
    if (!at || source < 0 || source >= N_LIMIT_SOURCES)
        return NULL;
    at = put(put(at, ",\"limit_source\":"), SOURCE_NAMES[source]);
    at = put_field(at, ",\"p_exceed\":", values[P_EXCEED]);
    return at ? put_integer(put(at, ",\"headroom_w\":"), headroom_w) : NULL;
}

static char *put_running(char *at, const double *values, int64_t headroom_w)
{
    at = put_bounds(at, values);
    if (!at)
        return NULL;
    at = put_integer(put(at, ",\"elapsed_min\":"), (int64_t)values[ELAPSED]);
    at = put_field(at, ",\"so_far_kw\":", values[SO_FAR]);
    return at ? put_powers(at, values, headroom_w) : NULL;
}

static char *put_next(char *at, const double *values)
{
    int64_t headroom_w;
    if (!find_watts(values[HEADROOM], &headroom_w))
        return NULL;
    at = put_bounds(put(at, ",\"next\":{"), values);
    at = at ? put_powers(at, values, headroom_w) : NULL;
    return at ? put(at, "}}") : NULL;
}

static char *put_demand(char *at, const double *demand, const char *device, size_t n_device, const char *of_batch,
                        int64_t *watts)
{
    const double *running = demand + FIRST_WINDOW, *following = running + N_WINDOW, *others = following + N_WINDOW;
    const double valid_until = smaller(running[ENDS], demand[OBSERVED] + VALID_MIN);
    if (!find_watts(running[HEADROOM], watts) || !find_max_power(running, following, watts + 1))
        return NULL;
    at = put(at, "{\"v\":1,\"device\":\"");
    memcpy(at, device, n_device);
    at = put_minute(put(at + n_device, "\",\"observed_at\":"), demand[OBSERVED]);
    if (!at)
        return NULL;
    at = put_running(put(at, of_batch), running, watts[0]);
    at = at ? put_exactly(put(at, ",\"risk\":"), others[0]) : NULL;
    at = put_field(at, ",\"month_peak_kw\":", others[1]);
    at = put_field(at, ",\"fuse_kw\":", others[2]);
    at = put_field(at, ",\"p_fuse\":", others[3]);
    at = at ? put_minute(put(at, ",\"valid_until\":"), valid_until) : NULL;
    return at ? put_next(at, following) : NULL;
}

/* Writes the documents of n demands. Returns n, or -1 if one has a number that is left to Python. */
EXPORT int64_t gapcast_write_demands(const struct demand_texts *texts, int64_t n)
{
    const char *device = texts->devices;
    char *at = texts->text;
    for (int64_t i = 0; i < n; i++) {
        const char *end = strchr(device, '\n');
        int64_t *numbers = texts->numbers + 3 * i;
        at = put_demand(at, texts->demands + i * N_DEMAND, device, (size_t)(end - device), texts->of_batch, numbers + 1);
        if (!at)
            return -1;
        numbers[0] = at - texts->text;
        device = end + 1;
    }
    return n;
}
