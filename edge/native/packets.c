/* Splits received bytes into PUBLISH and PUBACK packets (MQTT 3.1.1 and 5.0, 3.3 and 3.4), and reads plain readings.

   Splitter in gapcast/mqtt/packets/splitter.py finds the same fields. The function stops at any other packet, and at a
   packet that is incomplete, long or breaks the protocol: Python continues there.

   The bytes come from outside: each read is guarded by a comparison with the end of its packet. */

#include "plain_reading.h"

#define PUBLISH 0x30
#define PUBACK 0x40
#define KIND 0xF0
#define HAS_ID 0x06
#define MORE_LENGTH 0x80
#define LENGTH_BITS 0x7F
/* Longer payloads are left to Python, which truncates them. */
#define MAX_PAYLOAD 65536

/* A PUBLISH; a PUBACK has only the first two members, the second with its reason times 65536. */
struct packet {
    int64_t head, packet_id, topic_at, topic_end, properties_at, payload_at, end, minute;
    double gap_kw;
};

struct packets {
    /* number of received bytes, whether a PUBLISH has properties (MQTT 5), and the start: set to the end reached */
    int64_t n_bytes, has_properties, at;
    const uint8_t *bytes;
    /* results [N] */
    struct packet *found;
};

static inline int64_t two_bytes(const uint8_t *at) { return at[0] << 8 | at[1]; }

/* Finds the fields of a PUBLISH with the body `at` to `end`, as offsets in `bytes`; returns whether it has found
   them. */
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
    packet->minute = minute_of_reading(at + n_properties, end, &packet->gap_kw);
    if (!packet->minute)
        packet->gap_kw = 0.0; /* it may be set by a payload that begins like a reading */
    return 1;
}

/* The size of the structure, which Python compares with its own. */
EXPORT int64_t gapcast_packets_bytes(void) { return (int64_t)sizeof(struct packets); }

/* Finds up to `n` packets; returns their number. */
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
