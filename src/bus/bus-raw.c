/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd-util.h"
#include "bus/bus-raw.h"
#include "util/autoptr.h"

/* The memory of the connection is kept from one reply to the next, unless there is more of it. */
#define KEEP_SIZE ((off_t) 1024 * 1024)

/* The fields of a header (D-Bus Specification, "Header Fields"). */
enum {
        FIELD_REPLY_SERIAL = 5,
        FIELD_DESTINATION = 6,
        FIELD_SIGNATURE = 8,
};
#define PROTOCOL_VERSION 1

struct BusRaw {
        sd_bus *bus;
        int fd; /* of the bus, which owns it: a file in memory, so that a reply of any size is there at once
                 */
};

static int raw_write(BusRaw *raw, const struct iovec *iov, int n, size_t size) {
        ssize_t written = pwritev(raw->fd, iov, n, 0);

        if (written < 0)
                return -errno;
        if ((size_t) written != size)
                return -EIO;
        return lseek(raw->fd, 0, SEEK_SET) < 0 ? -errno : 0;
}

/* The other end of the connection says what a client says first. */
static int raw_authenticate(BusRaw *raw) {
        static const char hello[] = "\0AUTH ANONYMOUS\r\nDATA\r\nBEGIN\r\n";
        const struct iovec iov = { (void *) hello, sizeof(hello) - 1 };

        int r = raw_write(raw, &iov, 1, iov.iov_len);
        if (r >= 0)
                r = sd_bus_start(raw->bus);
        while (r >= 0 && (r = sd_bus_is_ready(raw->bus)) == 0) {
                r = sd_bus_process(raw->bus, NULL);
                if (r == 0)
                        return -EPROTO;
        }
        return MIN(r, 0);
}

int bus_raw_new(BusRaw **ret) {
        g_autoptr(BusRaw) raw = g_new0(BusRaw, 1);
        autofd fd = memfd_create("raw replies", MFD_CLOEXEC);
        sd_id128_t id;

        if (fd < 0)
                return -errno;
        int r = sd_bus_new(&raw->bus);
        if (r >= 0)
                r = sd_bus_set_fd(raw->bus, fd, fd);
        if (r < 0)
                return r;
        raw->fd = fd_steal(&fd);
        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(raw->bus, true, id);
        if (r >= 0)
                r = sd_bus_set_anonymous(raw->bus, true);
        if (r >= 0)
                r = raw_authenticate(raw);
        if (r < 0)
                return r;
        *ret = g_steal_pointer(&raw);
        return 0;
}

BusRaw *bus_raw_free(BusRaw *raw) {
        if (!raw)
                return NULL;
        sd_bus_close_unref(raw->bus);
        g_free(raw);
        return NULL;
}

static void header_field(BusBytes *header, uint8_t field, const char *type) {
        (void) bus_bytes_extend(header, 8, 0);
        bus_bytes_u8(header, field);
        bus_bytes_signature(header, type, strlen(type));
}

static void header_write(
        BusBytes *header, sd_bus_message *call, uint32_t serial, const char *signature, size_t size) {
        const char *destination = sd_bus_message_get_sender(call);

        bus_bytes_u8(header, G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B');
        bus_bytes_u8(header, SD_BUS_MESSAGE_METHOD_RETURN);
        bus_bytes_u8(header, 1); /* no reply to it is expected */
        bus_bytes_u8(header, PROTOCOL_VERSION);
        bus_bytes_u32(header, (uint32_t) size);
        /* Nobody refers to the number of a reply. sd-bus continues with its own numbers. */
        bus_bytes_u32(header, 1);

        const size_t fields = bus_bytes_begin_array(header, 8);
        header_field(header, FIELD_REPLY_SERIAL, "u");
        bus_bytes_u32(header, serial);
        if (destination) {
                header_field(header, FIELD_DESTINATION, "s");
                bus_bytes_string(header, destination, strlen(destination));
        }
        header_field(header, FIELD_SIGNATURE, "g");
        bus_bytes_signature(header, signature, strlen(signature));
        bus_bytes_end_array(header, fields, 8);
        (void) bus_bytes_extend(header, 8, 0);
}

/* Makes a message of what was written. */
static int raw_receive(BusRaw *raw, sd_bus_message **ret) {
        g_autoptr(sd_bus_message) m = NULL;

        /* Once for the size and once for the rest. */
        for (unsigned i = 0; i < 3 && !m; i++) {
                int r = sd_bus_process(raw->bus, &m);
                if (r < 0)
                        return r;
        }
        if (!m)
                return -EPROTO;
        *ret = g_steal_pointer(&m);
        return 0;
}

int bus_raw_reply(BusRaw *raw, sd_bus_message *call, const char *signature, const BusBytes *body) {
        g_autoptr(sd_bus_message) reply = NULL;
        g_auto(BusBytes) header = {};
        uint64_t serial;

        int r = sd_bus_message_get_expect_reply(call);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = sd_bus_message_get_cookie(call, &serial);
        if (r < 0)
                return r;
        header_write(&header, call, (uint32_t) serial, signature, body->size);

        const struct iovec iov[] = { { header.data, header.size }, { body->data, body->size } };
        r = raw_write(raw, iov, 2, header.size + body->size);
        if (r >= 0)
                r = raw_receive(raw, &reply);
        if (lseek(raw->fd, 0, SEEK_END) > KEEP_SIZE)
                (void) ftruncate(raw->fd, 0);
        return r < 0 ? r : sd_bus_send(sd_bus_message_get_bus(call), reply, NULL);
}
