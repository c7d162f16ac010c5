/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <poll.h>
#include <unistd.h>

#include "testlib.h"

Screen *screen_new(int fd) {
        Screen *screen = g_new0(Screen, 1);

        screen->fd = fd;
        screen->text = g_string_new(NULL);
        return screen;
}

Screen *screen_open(Bus *bus, const char *role, GVariant *options) {
        guint32 serial =
                node_send(bus, "OpenTerminal", g_variant_new("(s@a{sv})", role, options ?: OPTIONS("{}")));
        g_autoptr(GVariant) result = bus_result(bus, serial);
        Event *reply = bus_wait_reply(bus, serial);

        assert_string_equal(g_variant_get_type_string(result), "(h)");
        assert_true(reply->fd >= 0);
        return screen_new(dup(reply->fd));
}

void screen_free(Screen *screen) {
        if (!screen)
                return;
        (void) close(screen->fd);
        g_string_free(screen->text, TRUE);
        g_free(screen);
}

void screen_type(Screen *screen, const char *text) {
        assert_int_equal(write(screen->fd, text, strlen(text)), strlen(text));
}

/* Returns false if it has ended. */
static bool read_more(Screen *screen, const char *what) {
        struct pollfd p = { .fd = screen->fd, .events = POLLIN };
        char data[65536];
        ssize_t n;

        if (poll(&p, 1, (int) (patience_usec() / 1000)) != 1) {
                g_autofree char *shown = g_strescape(screen->text->str, NULL);
                fail_msg("%s did not come; there was: %s", what, shown);
        }
        n = read(screen->fd, data, sizeof(data));
        if (n <= 0) {
                screen->ended = true;
                return false;
        }
        g_string_append_len(screen->text, data, n);
        return true;
}

void screen_expect(Screen *screen, const char *text) {
        const char *at;

        while (!(at = strstr(screen->text->str + screen->seen, text)))
                if (!read_more(screen, text)) {
                        g_autofree char *shown = g_strescape(screen->text->str, NULL);
                        fail_msg("the end came before '%s'; there was: %s", text, shown);
                }
        screen->seen = (gsize) (at - screen->text->str) + strlen(text);
}

void screen_expect_end(Screen *screen) {
        while (!screen->ended)
                (void) read_more(screen, "the end");
}

GArray *terminal_pids(Bus *bus) {
        g_autoptr(GArray) children = process_children(keeper_pid(bus));
        GArray *found = g_array_new(FALSE, FALSE, sizeof(pid_t));

        for (guint i = 0; i < children->len; i++) {
                pid_t pid = g_array_index(children, pid_t, i);
                g_autofree char *name = process_status(pid, "Name");

                if (g_strcmp0(name, "architect-termi") == 0 && process_state(pid) != 'Z')
                        g_array_append_val(found, pid);
        }
        return found;
}
