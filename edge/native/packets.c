/* Splits received bytes into PUBLISH and PUBACK packets (MQTT 3.1.1 and 5.0, 3.3 and 3.4), and reads plain readings.

   The fields are those that Splitter in gapcast/mqtt/splitter.py finds. It stops at any other packet, one that is not
   complete, is long or breaks the protocol: Python continues there. A reading is an object of "ts" and "gap_kw" alone,
   whose values this file reads exactly; minute 0 leaves any other payload to gapcast/mqtt/payloads.py.

   These bytes come from outside: each read is behind a comparison with the end of its packet. */

#include <string.h>

#include "gapcast.h"

#define PUBLISH 0x30
#define PUBACK 0x40
#define KIND 0xF0
#define HAS_ID 0x06
#define MORE_LENGTH 0x80
#define LENGTH_BITS 0x7F
/* Longer packets are left to Python, which truncates longer payloads. */
#define MAX_PAYLOAD 65536
/* Digits of a number: its integer is a double, and so is the power of ten that divides it. */
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

/* A PUBLISH; of a PUBACK the first two, the second with its reason times 65536. */
struct packet {
    int64_t head, packet_id, topic_at, topic_end, properties_at, payload_at, end, minute;
    double gap_kw;
};

struct packets {
    /* bytes received, whether a PUBLISH has properties (MQTT 5), and where to begin: set to where this ended */
    int64_t n_bytes, has_properties, at;
    const uint8_t *bytes;
    /* results [N] */
    struct packet *found;
};

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

/* Reads digits, N_EXACT_DIGITS at most with the `n_before` ones, behind the `value` of these; returns how many. */
static int64_t take_digits(struct reader *reader, int64_t n_before, int64_t *value)
{
    int64_t n = 0;
    while (reader->at < reader->end && is_digit(*reader->at) && n_before + n < N_EXACT_DIGITS) {
        *value = 10 * *value + (*reader->at++ - '0');
        n++;
    }
    return n;
}

/* Reads a number without an exponent that is not -0; returns whether it did. */
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

/* Returns the number that `n` digits make, or -1. */
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

/* Returns the instant, epoch ms, of 20 bytes such as 2010-11-01T00:29:00Z, of 2000 to 2099; 0 for any others. */
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

/* Reads {"ts": ..., "gap_kw": ...}, in either order; returns the instant, epoch ms, or 0. */
static int64_t read_reading(struct reader reader, double *gap_kw)
{
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
    return reader.at == reader.end && has_power ? instant_ms : 0;
}

static inline int64_t two_bytes(const uint8_t *at) { return at[0] << 8 | at[1]; }

/* Finds the fields of a PUBLISH with the body `at` to `end`, as offsets in `bytes`; returns whether it did. */
static int read_publish(const struct packets *packets, const uint8_t *at, const uint8_t *end, struct packet *packet)
{
    const uint8_t *bytes = packets->bytes;
    if (end - at < 2)
        return 0;
    const int64_t n_topic = two_bytes(at);
    at += 2;
    if (end - at < n_topic)
        return 0;
    packet->topic_at = at - bytes;
    at += n_topic;
    packet->topic_end = at - bytes;
    packet->packet_id = 0;
    if (packet->head & HAS_ID) {
        if (end - at < 2)
            return 0;
        packet->packet_id = two_bytes(at);
        at += 2;
    }
    int64_t n_properties = 0;
    if (packets->has_properties) {
        if (at == end || *at >= MORE_LENGTH)
            return 0;
        n_properties = *at++;
        if (end - at < n_properties)
            return 0;
    }
    packet->properties_at = at - bytes;
    packet->payload_at = packet->properties_at + n_properties;
    packet->end = end - bytes;
    const struct reader reader = {at + n_properties, end};
    packet->minute = read_reading(reader, &packet->gap_kw) / MINUTE_MS;
    return 1;
}

/* The length of the structure, with which Python's is compared. */
EXPORT int64_t gapcast_packets_bytes(void) { return (int64_t)sizeof(struct packets); }

/* Finds up to `n` packets; returns how many. */
EXPORT int64_t gapcast_packets(struct packets *packets, int64_t n)
{
    const uint8_t *at = packets->bytes + packets->at, *received = packets->bytes + packets->n_bytes;
    int64_t i_packet = 0;
    for (; i_packet < n; i_packet++) {
        struct packet *packet = packets->found + i_packet;
        const uint8_t *body = at + 1;
        int64_t n_body = 0;
        int shift = 0, is_complete = 0;
        while (body < received && shift <= 14 && !is_complete) {
            n_body |= (int64_t)(*body & LENGTH_BITS) << shift;
            shift += 7;
            is_complete = *body++ < MORE_LENGTH;
        }
        if (!is_complete || n_body > MAX_PAYLOAD || received - body < n_body)
            break;
        const uint8_t *end = body + n_body;
        packet->head = *at;
        if ((*at & KIND) == PUBACK && n_body >= 2)
            packet->packet_id = two_bytes(body) | (n_body > 2 ? (int64_t)body[2] << 16 : 0);
        else if ((*at & KIND) != PUBLISH || !read_publish(packets, body, end, packet))
            break;
        at = end;
    }
    packets->at = at - packets->bytes;
    return i_packet;
}
