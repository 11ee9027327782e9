/* Writes the messages of a batch of demands: documents alone, or all MQTT packets of each demand.

   gapcast/core/demand/documents/document.py defines the documents, max_power.py the powers in W,
   gapcast/core/time_grid.py the times, and gapcast/mqtt/packets/frames.py the encoding of packets. If a value cannot be
   written here, the function returns -1, and Python writes the batch. */

#include <math.h>
#include <string.h>

#include "demand.h"
#include "demand_times.h"

#define DECIMAL_SCALE 1e6
#define W_PER_KW 1e3
#define VALID_MIN 5
#define HOLD_MIN 2
#define LOWEST_W 1.0
#define N_MESSAGES 3
#define N_LIMIT_SOURCES 4
#define S_PER_MIN 60

/* Kinds of slots of the document: the device name, a whole number, a number, a number that may be missing, a number
   that is not rounded, a power in whole W, a minute, the time of issue, the source of a limit, the minute of the
   validity's end, the unmeasured minutes of the running window. */
enum { NAME_SLOT, INTEGER_SLOT, NUMBER_SLOT, NULLABLE_SLOT, EXACT_SLOT, WATTS_SLOT, MINUTE_SLOT, ISSUED_SLOT, SOURCE_SLOT, UNTIL_SLOT, UNMEASURED_SLOT };

struct demand_messages {
    /* sizes: slots of the document, bytes of the names and of the result */
    int64_t n_slots, n_name_bytes, capacity;
    /* the first byte of packets with documents (0: documents alone) and with numbers; whether they have properties */
    int64_t head, number_head, has_properties;
    int64_t issued_at_ms;
    /* names of the devices, each with a zero at its end */
    const uint8_t *names;
    /* the template: text before each slot and at the end, the ends of these texts [n_slots + 1], kinds of the slots and
       columns of their values [n_slots], names of sources and their ends [4]; the text of each topic before and after
       the name, consecutively, and the ends of these texts [6] */
    const uint8_t *constants;
    const int64_t *constant_ends;
    const uint8_t *kinds;
    const int64_t *columns;
    const uint8_t *sources;
    const int64_t *source_ends;
    const uint8_t *topics;
    const int64_t *topic_ends;
    /* batch: demands [N, 32], packet ids [N, 3], 0 at QoS 0 */
    const double *demands;
    const int64_t *packet_ids;
    /* results, and the bounds of each message's payload in them [N, 3, 2]; both are 0 if it is not sent */
    uint8_t *out;
    int64_t *bounds;
};

/* One demand: its columns, its device's name, and the minutes for which it remains valid. */
struct message {
    const struct demand_messages *all;
    const double *demand;
    const uint8_t *name;
    int64_t n_name;
    double until_minute, left_min;
};

static int put_rounded(struct writer *writer, double value)
{
    return put_number(writer, rint(value * DECIMAL_SCALE) / DECIMAL_SCALE);
}

static int put_watts(struct writer *writer, double kw) { return put_integer(writer, floor(kw * W_PER_KW)); }

/* Writes the part of `texts` that ends at `ends[at]`. */
static int put_part(struct writer *writer, const uint8_t *texts, const int64_t *ends, int64_t at)
{
    const int64_t begin = at ? ends[at - 1] : 0;
    return put(writer, texts + begin, ends[at] - begin);
}

static int put_slot(struct writer *writer, const struct message *message, int64_t slot)
{
    const struct demand_messages *all = message->all;
    const double value = message->demand[all->columns[slot]];
    switch (all->kinds[slot]) {
    case NAME_SLOT:
        return put(writer, message->name, message->n_name);
    case INTEGER_SLOT:
        return put_integer(writer, value);
    case NUMBER_SLOT:
        return put_rounded(writer, value);
    case NULLABLE_SLOT:
        return isnan(value) ? put(writer, (const uint8_t *)"null", 4) : put_rounded(writer, value);
    case EXACT_SLOT:
        return put_number(writer, value);
    case WATTS_SLOT:
        return put_watts(writer, value);
    case MINUTE_SLOT:
        return put_minute(writer, value);
    case ISSUED_SLOT:
        return put_instant(writer, all->issued_at_ms);
    case SOURCE_SLOT:
        return value >= 0.0 && value < N_LIMIT_SOURCES && put_part(writer, all->sources, all->source_ends, (int64_t)value);
    case UNMEASURED_SLOT:
        return put_integer(writer, message->demand[FIRST_WINDOW + ELAPSED] - message->demand[FIRST_WINDOW + KNOWN]);
    default:
        return put_minute(writer, message->until_minute);
    }
}

static int put_document(struct writer *writer, const struct message *message)
{
    const struct demand_messages *all = message->all;
    for (int64_t slot = 0; slot < all->n_slots; slot++)
        if (!put_part(writer, all->constants, all->constant_ends, slot) || !put_slot(writer, message, slot))
            return 0;
    return put_part(writer, all->constants, all->constant_ends, all->n_slots);
}

/* The power that may be drawn in the rest of a window; without a known minute, as if none had elapsed. */
static double drawable_kw_of(const double *window)
{
    const double n_minutes = window[ENDS] - window[STARTS], known_min = isnan(window[SO_FAR]) ? 0.0 : window[KNOWN];
    const double known_kw = known_min != 0.0 ? window[SO_FAR] * known_min : 0.0;
    return (n_minutes * window[EXPECTED] - known_kw) / (n_minutes - known_min) + window[HEADROOM];
}

static double max_power_w_of(const double *demand)
{
    const double *running = demand + FIRST_WINDOW;
    double kw = drawable_kw_of(running);
    if (running[ENDS] - running[STARTS] - running[ELAPSED] <= HOLD_MIN) {
        const double next_kw = drawable_kw_of(running + N_WINDOW);
        kw = next_kw < kw ? next_kw : kw;
    }
    const double w = floor(kw * W_PER_KW);
    return w < LOWEST_W ? LOWEST_W : w;
}

static int put_payload(struct writer *writer, const struct message *message, int64_t which)
{
    if (which == 0)
        return put_document(writer, message);
    return which == 1 ? put_watts(writer, message->demand[FIRST_WINDOW + HEADROOM])
                      : put_integer(writer, max_power_w_of(message->demand));
}

static int64_t expiry_s_of(double left_min)
{
    const int64_t left_s = left_min > 0.0 && left_min <= VALID_MIN ? (int64_t)(left_min * S_PER_MIN) : VALID_MIN * S_PER_MIN;
    return left_s ? left_s : 1;
}

static int put_variable_header(struct writer *writer, const struct message *message, int64_t which, int64_t packet_id)
{
    const struct demand_messages *all = message->all;
    const int64_t begin = which ? all->topic_ends[2 * which - 1] : 0, expiry_s = expiry_s_of(message->left_min);
    const int64_t n_topic = all->topic_ends[2 * which + 1] - begin + message->n_name;
    const uint8_t length[] = {(uint8_t)(n_topic >> 8), (uint8_t)n_topic};
    const uint8_t identifier[] = {(uint8_t)(packet_id >> 8), (uint8_t)packet_id};
    const uint8_t properties[] = {5, 2, 0, 0, (uint8_t)(expiry_s >> 8), (uint8_t)expiry_s};
    return n_topic <= UINT16_MAX && put(writer, length, 2) && put_part(writer, all->topics, all->topic_ends, 2 * which) &&
           put(writer, message->name, message->n_name) && put_part(writer, all->topics, all->topic_ends, 2 * which + 1) &&
           put(writer, identifier, packet_id ? 2 : 0) && put(writer, properties, all->has_properties ? 6 : 0);
}

/* Writes a message, in a packet if packets are written; writes the bounds of its payload to `bounds`. */
static int put_message(struct writer *writer, const struct message *message, int64_t which, int64_t packet_id, int64_t *bounds)
{
    const struct demand_messages *all = message->all;
    uint8_t *body = writer->at + MAX_HEAD;
    if (all->head) {
        if (writer->end - writer->at < MAX_HEAD)
            return 0;
        writer->at = body;
        if (!put_variable_header(writer, message, which, packet_id))
            return 0;
    }
    bounds[0] = writer->at - all->out;
    if (!put_payload(writer, message, which))
        return 0;
    if (all->head)
        bounds[0] -= close_packet(writer, body, (which ? all->number_head : all->head) | (packet_id ? AT_LEAST_ONCE : 0));
    bounds[1] = writer->at - all->out;
    return 1;
}

/* The size of the structure, which Python compares with its own. */
EXPORT int64_t gapcast_demand_messages_bytes(void) { return (int64_t)sizeof(struct demand_messages); }

/* Writes the documents of n demands, or the packets of their messages; returns the number of bytes, or -1.

   The numbers of a demand that is no longer valid are not sent. */
EXPORT int64_t gapcast_demand_messages(const struct demand_messages *all, int64_t n)
{
    struct writer writer = {all->out, all->out + all->capacity};
    const uint8_t *name = all->names, *names_end = all->names + all->n_name_bytes;
    const double now_min = (double)all->issued_at_ms / MINUTE_MS;
    const int64_t *packet_id = all->packet_ids;
    for (int64_t entry = 0; entry < n; entry++) {
        const double *demand = all->demands + entry * N_DEMAND;
        const uint8_t *zero = name < names_end ? memchr(name, 0, (size_t)(names_end - name)) : NULL;
        if (!zero)
            return -1;
        const double until = min_of(demand[FIRST_WINDOW + ENDS], demand[OBSERVED] + VALID_MIN);
        const struct message message = {all, demand, name, zero - name, until, until - now_min};
        const int64_t n_messages = all->head && message.left_min > 0.0 ? N_MESSAGES : 1;
        int64_t *bounds = all->bounds + entry * 2 * N_MESSAGES;
        memset(bounds, 0, sizeof(int64_t) * 2 * N_MESSAGES);
        for (int64_t which = 0; which < n_messages; which++)
            if (!put_message(&writer, &message, which, *packet_id++, bounds + 2 * which))
                return -1;
        name = zero + 1;
    }
    return name == names_end ? writer.at - all->out : -1;
}
