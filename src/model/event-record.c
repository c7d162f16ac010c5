/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "model/event-record.h"

/* The format is described in the GVariant Specification, section "Serialisation Format". A container ends
 * with the ends of its members of variable size, in reverse order for a structure, without the last member's.
 */

#define ALIGN8(n) (((n) + 7U) & ~(size_t) 7U)
#define FIXED_SIZE (2 * sizeof(uint64_t)) /* number and time */

/* The width of an end depends on the size of the container. */
static unsigned end_width(size_t size) {
        return size <= UINT8_MAX ? 1 : size <= UINT16_MAX ? 2 : 4;
}

/* Ends are little-endian on each machine. */
static size_t end_read(const uint8_t *p, unsigned width) {
        uint16_t u16;
        uint32_t u32;

        switch (width) {
        case 1:
                return *p;
        case 2:
                memcpy(&u16, p, sizeof(u16));
                return GUINT16_FROM_LE(u16);
        default:
                memcpy(&u32, p, sizeof(u32));
                return GUINT32_FROM_LE(u32);
        }
}

static bool text_is_ascii(const uint8_t *p, size_t n) {
        uint64_t bits = 0, word;

        for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                bits |= word;
        }
        for (; n > 0; p++, n--)
                bits |= *p;
        return (bits & UINT64_C(0x8080808080808080)) == 0;
}

bool event_text_read(const void *data, size_t size, EventText *ret) {
        const char *text = data;

        if (size == 0 || memchr(text, '\0', size) != text + size - 1)
                return false;
        if (!text_is_ascii(data, size) && !utf8_is_valid(text))
                return false;
        *ret = (EventText){ text, size - 1 };
        return true;
}

static bool details_begin(const uint8_t *data, size_t size, EventDetails *ret) {
        EventDetails details = { .data = data, .size = size, .width = end_width(size) };

        if (size > 0) {
                if (size < details.width)
                        return false;
                details.limit = details.next = end_read(data + size - details.width, details.width);
                if (details.limit >= size || (size - details.limit) % details.width != 0)
                        return false;
        }
        *ret = details;
        return true;
}

bool event_record_read(const void *data, size_t size, EventRecord *ret) {
        const unsigned width = end_width(size);
        const uint8_t *p = data;
        EventRecord record;

        if (size < FIXED_SIZE + 2 * width)
                return false;
        const size_t end = size - 2 * width, type_end = end_read(p + end + width, width),
                     role_end = end_read(p + end, width), details = ALIGN8(role_end);
        if (type_end < FIXED_SIZE || role_end < type_end || role_end > end || details > end)
                return false;
        memcpy(&record.sequence, p, sizeof(record.sequence));
        memcpy(&record.realtime_usec, p + sizeof(record.sequence), sizeof(record.realtime_usec));
        if (!event_text_read(p + FIXED_SIZE, type_end - FIXED_SIZE, &record.type) ||
                !event_text_read(p + type_end, role_end - type_end, &record.role) ||
                !details_begin(p + details, end - details, &record.details))
                return false;
        *ret = record;
        return true;
}

/* An entry is a key, the end of the key, and a variant between them, which ends with '\0' and its type. */
static bool detail_read(const uint8_t *p, size_t size, EventDetail *ret) {
        const unsigned width = end_width(size);

        if (size < width)
                return false;
        const size_t end = size - width, key_end = end_read(p + end, width), begin = ALIGN8(key_end);
        if (key_end > end || begin > end || !event_text_read(p, key_end, &ret->key))
                return false;
        if (end - begin < 2 || p[end - 1] == '\0')
                return false;
        /* The type has one character in most cases. */
        const uint8_t *zero = p[end - 2] == '\0' ? p + end - 2 : memrchr(p + begin, '\0', end - begin);
        if (!zero)
                return false;
        ret->type = (const char *) zero + 1;
        ret->type_length = (size_t) (p + end - zero - 1);
        ret->value = p + begin;
        ret->size = (size_t) (zero - (p + begin));
        return true;
}

int event_details_next(EventDetails *details, EventDetail *ret) {
        if (details->next == details->size)
                return 0;
        const size_t begin = ALIGN8(details->at),
                     end = end_read(details->data + details->next, details->width);
        EventDetail detail;
        if (begin > end || end > details->limit || !detail_read(details->data + begin, end - begin, &detail))
                return -EBADMSG;
        details->at = end;
        details->next += details->width;
        *ret = detail;
        return 1;
}
