/* Writes JSON documents of one template, a batch at a time, alone or each in an MQTT packet that publishes it.

   JsonTemplate in gapcast/core/forecasts/json_rows.py returns the same bytes: numbers like Python's repr of a float
   rounded to NUMBER_DECIMALS, weights like "%.3f". If a value is not such a number, the function returns -1, and Python
   writes the batch. */

#include <string.h>

#include "json_rows.h"

enum { TEXT, INTEGER, NUMBER, WEIGHT };

#define MAX_TEXTS 16
/* The largest length of a packet. */
#define MAX_REMAINING 268435455

struct json_rows {
    /* sizes: values and texts of a row, bytes of the texts and of the result */
    int64_t n_slots, n_texts, n_values, n_text_bytes, capacity;
    /* the first byte of a packet, or 0 for documents alone; whether it has properties (MQTT 5) */
    int64_t head, has_properties, n_before, n_topic;
    /* texts of the batch, column by column, each followed by a zero */
    const uint8_t *texts;
    /* the template: text before each value and at the end, the ends of these texts [n_slots + 1], kinds of the values
       [n_slots]; the text in a topic before the first text, and after it */
    const uint8_t *constants;
    const int64_t *constant_ends;
    const uint8_t *kinds, *topic;
    /* batch: values [N, n_values], expiry, s [N], packet ids [N] */
    const double *values;
    const int64_t *expiry_s, *packet_ids;
    /* results, and the bounds of each document in them [N, 2] */
    uint8_t *out;
    int64_t *bounds;
};

/* Writes the document of `row`; `texts` are the places of its texts, which are moved to the texts of the next row. */
static int put_document(struct writer *writer, const struct json_rows *rows, int64_t row, const uint8_t **texts)
{
    const double *value = rows->values + row * rows->n_values;
    int64_t begin = 0, i_text = 0;
    for (int64_t slot = 0; slot <= rows->n_slots; slot++) {
        const int64_t end = rows->constant_ends[slot];
        if (!put(writer, rows->constants + begin, end - begin))
            return 0;
        begin = end;
        if (slot == rows->n_slots)
            return 1;
        int is_written;
        switch (rows->kinds[slot]) {
        case TEXT: {
            const int64_t n = (int64_t)strlen((const char *)texts[i_text]);
            is_written = put(writer, texts[i_text], n);
            texts[i_text++] += n + 1;
            break;
        }
        case INTEGER:
            is_written = put_integer(writer, *value++);
            break;
        case NUMBER:
            is_written = put_number(writer, *value++);
            break;
        default:
            is_written = put_weight(writer, *value++);
        }
        if (!is_written)
            return 0;
    }
    return 1;
}

/* Writes the part of a packet between length and payload: topic, packet id, and the message expiry (MQTT 5). */
static int put_variable_header(struct writer *writer, const struct json_rows *rows, int64_t row, const uint8_t *text)
{
    const int64_t n_text = (int64_t)strlen((const char *)text), n_topic = rows->n_topic + n_text;
    const int64_t packet_id = rows->packet_ids[row], expiry_s = rows->expiry_s[row];
    const uint8_t length[] = {(uint8_t)(n_topic >> 8), (uint8_t)n_topic};
    const uint8_t identifier[] = {(uint8_t)(packet_id >> 8), (uint8_t)packet_id};
    const uint8_t properties[] = {5, 2, (uint8_t)(expiry_s >> 24), (uint8_t)(expiry_s >> 16), (uint8_t)(expiry_s >> 8),
                                  (uint8_t)expiry_s};
    return n_topic <= UINT16_MAX && put(writer, length, 2) && put(writer, rows->topic, rows->n_before) &&
           put(writer, text, n_text) && put(writer, rows->topic + rows->n_before, rows->n_topic - rows->n_before) &&
           put(writer, identifier, packet_id ? 2 : 0) && put(writer, properties, rows->has_properties ? 6 : 0);
}

/* Completes the packet whose variable header is at `body` + MAX_HEAD: moves it behind its head. */
int64_t close_packet(struct writer *writer, uint8_t *body, int64_t head)
{
    uint8_t first[MAX_HEAD];
    int64_t n_body = writer->at - body, left = n_body, n = 0;
    first[n++] = (uint8_t)head;
    do {
        first[n++] = (uint8_t)((left & 0x7F) | (left > 0x7F ? 0x80 : 0));
        left >>= 7;
    } while (left);
    memcpy(body - MAX_HEAD, first, (size_t)n);
    memmove(body - MAX_HEAD + n, body, (size_t)n_body);
    writer->at -= MAX_HEAD - n;
    return MAX_HEAD - n;
}

/* Finds the place of each text of the first row; returns whether each column has `n` texts. */
static int find_texts(const struct json_rows *rows, int64_t n, const uint8_t **texts)
{
    const uint8_t *at = rows->texts, *end = rows->texts + rows->n_text_bytes;
    for (int64_t i = 0; i < rows->n_texts * n; i++) {
        if (i % n == 0)
            texts[i / n] = at;
        const uint8_t *zero = at < end ? memchr(at, 0, (size_t)(end - at)) : NULL;
        if (!zero)
            return 0;
        at = zero + 1;
    }
    return at == end;
}

/* The size of the structure, which Python compares with its own. */
EXPORT int64_t gapcast_json_rows_bytes(void) { return (int64_t)sizeof(struct json_rows); }

/* Writes `n` documents or packets; returns the number of bytes, or -1. */
EXPORT int64_t gapcast_json_rows(struct json_rows *rows, int64_t n)
{
    const uint8_t *texts[MAX_TEXTS];
    struct writer writer = {rows->out, rows->out + rows->capacity};
    if (rows->n_texts > MAX_TEXTS || !find_texts(rows, n, texts))
        return -1;
    for (int64_t row = 0; row < n; row++) {
        uint8_t *body = writer.at + MAX_HEAD;
        if (rows->head) {
            if (writer.end - writer.at < MAX_HEAD)
                return -1;
            writer.at = body;
            if (!put_variable_header(&writer, rows, row, texts[0]))
                return -1;
        }
        int64_t begin = writer.at - rows->out;
        if (!put_document(&writer, rows, row, texts))
            return -1;
        if (rows->head) {
            if (writer.at - body > MAX_REMAINING)
                return -1;
            begin -= close_packet(&writer, body, rows->head | (rows->packet_ids[row] ? AT_LEAST_ONCE : 0));
        }
        rows->bounds[2 * row] = begin;
        rows->bounds[2 * row + 1] = writer.at - rows->out;
    }
    return writer.at - rows->out;
}
