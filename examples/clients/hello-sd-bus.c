/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Starts a role, waits for its end and forgets it, with sd-bus. README.md says how to build it. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define NODE "org.architect.Node", "/org/architect/Node", "org.architect.Node"
#define NO_SUCH_ROLE "org.architect.Node.Error.NoSuchRole"

static const char *role = "hello";
static int ended, succeeded;

/* The signals of all roles arrive here. */
static int on_signal(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *code;
        int r, status;

        if ((r = sd_bus_message_read(m, "so", &name, NULL)) < 0 || strcmp(name, role) != 0)
                return r;
        if (strcmp(sd_bus_message_get_member(m), "RoleStarted") == 0)
                printf("%s started\n", role);
        if (strcmp(sd_bus_message_get_member(m), "RoleExited") != 0)
                return 0;
        /* The code is exited, killed, dumped or lost. Only the status of "exited" is an exit status. */
        if ((r = sd_bus_message_read(m, "si", &code, &status)) < 0)
                return r;
        printf("%s %s %d\n", role, code, status);
        succeeded = strcmp(code, "exited") == 0 && status == 3;
        ended = 1;
        return 0;
}

static int run(sd_bus *bus, sd_bus_error *error) {
        int r;

        /* First the signals, then the start, because a short command may have ended when Start returns. */
        if ((r = sd_bus_match_signal(bus, NULL, NODE, "RoleStarted", on_signal, NULL)) < 0 ||
                (r = sd_bus_match_signal(bus, NULL, NODE, "RoleExited", on_signal, NULL)) < 0)
                return r;
        /* Stop returns when nothing is left of the role, which may take longer than the default of 25 s. */
        if ((r = sd_bus_set_method_call_timeout(bus, UINT64_C(60000000))) < 0)
                return r;
        /* Without the option user the role runs as root. */
        if ((r = sd_bus_call_method(bus, NODE, "Start", error, NULL, "sasa{sv}", role, 3, "sh", "-c",
                     "echo hello; exit 3", 1, "user", "s", "nobody")) < 0)
                return r;
        /* A program that asks ListRoles instead must take an unknown state for "running". */
        while (!ended)
                if ((r = sd_bus_process(bus, NULL)) < 0 || (r == 0 && (r = sd_bus_wait(bus, UINT64_MAX)) < 0))
                        return r;
        /* RoleExited reports the main process. Stop waits for those that it may have left. */
        if ((r = sd_bus_call_method(bus, NODE, "Stop", error, NULL, "s", role)) < 0 ||
                (r = sd_bus_call_method(bus, NODE, "Purge", error, NULL, "as", 1, role)) < 0)
                return r;
        r = sd_bus_call_method(bus, NODE, "GetRole", error, NULL, "s", role);
        return sd_bus_error_has_name(error, NO_SUCH_ROLE) ? printf("%s purged\n", role) : r < 0 ? r : -EEXIST;
}

int main(int argc, char **argv) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus *bus = NULL;
        int r;

        if (argc > 1)
                role = argv[1];
        if ((r = sd_bus_open_system(&bus)) < 0 || (r = run(bus, &error)) < 0)
                fprintf(stderr, "%s: %s\n", error.name ?: role, error.message ?: strerror(-r));
        sd_bus_error_free(&error);
        sd_bus_flush_close_unref(bus);
        return r < 0 || !succeeded;
}
