/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "lease" and "leases". "beat --lease=" is in beat.c. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "ctl/connection.h"
#include "ctl/lease.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "util/autoptr.h"

/* -- the options of both -- */

CtlExit lease_parse_token(const char *verb, const char *text, uint64_t *ret) {
        if (parse_u64(text, ret) < 0)
                return ctl_usage(verb, "--token=%s is not a number from 0 to %" PRIu64, text, UINT64_MAX);
        return CTL_EXIT_OK;
}

CtlExit lease_parse_within(const char *verb, const char *text, uint64_t *ret) {
        if (parse_time(text, USEC_PER_SEC, ret) < 0 || *ret == 0)
                return ctl_usage(verb, "--within=%s is not a time such as 30s, or \"infinity\"", text);
        return CTL_EXIT_OK;
}

/* -- lease -- */

CtlExit verb_lease(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_TOKEN = CTL_OPTION_OWN, ARG_WITHIN };
        static const struct option options[] = {
                { "token", required_argument, NULL, ARG_TOKEN },
                { "within", required_argument, NULL, ARG_WITHIN },
                { 0 },
        };
        uint64_t token = 0, within_usec = LEASE_WITHIN_DEFAULT_USEC;
        CtlExit e = CTL_EXIT_OK;
        int c = 0;

        while (e == CTL_EXIT_OK && (c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                e = c == ARG_TOKEN ? lease_parse_token(argv[0], optarg, &token)
                                   : lease_parse_within(argv[0], optarg, &within_usec);
        if (e == CTL_EXIT_OK && c != CTL_OPTION_EXIT)
                e = ctl_check_arguments(argc, argv, 2, 2);
        if (e != CTL_EXIT_OK || c == CTL_OPTION_EXIT)
                return e;
        const char *action = argv[optind], *name = argv[optind + 1];
        g_autoptr(sd_bus_message) call = NULL;
        if (strcmp(action, "acquire") == 0)
                e = ctl_new_call(ctl, &call, "AcquireLease", "stt", name, token, within_usec);
        else if (strcmp(action, "release") == 0)
                e = ctl_new_call(ctl, &call, "ReleaseLease", "st", name, token);
        else
                return ctl_usage("lease", "lease takes acquire or release, not \"%s\"", action);
        return e == CTL_EXIT_OK ? ctl_send_about(ctl, call, NULL, NULL) : e;
}

/* -- leases -- */

#define NOBODY UINT32_MAX

enum {
        LEASE_NAME,
        LEASE_USER,
        LEASE_UID,
        LEASE_LEFT,
        LEASE_DEADLINE,
        LEASE_TIMEOUT,
        LEASE_TIMEOUT_USEC,
        LEASE_TOKEN,
        LEASE_ROLES
};

static const TableColumn lease_columns[] = {
        [LEASE_NAME] = { "LEASE", "lease" },
        [LEASE_USER] = { "OWNER" },
        [LEASE_UID] = { NULL, "uid", TABLE_NUMBER },
        [LEASE_LEFT] = { "LEFT" },
        [LEASE_DEADLINE] = { NULL, "deadline-usec", TABLE_NUMBER },
        [LEASE_TIMEOUT] = { "TIMEOUT" },
        [LEASE_TIMEOUT_USEC] = { NULL, "timeout-usec", TABLE_NUMBER },
        [LEASE_TOKEN] = { "TOKEN", "token", TABLE_NUMBER },
        [LEASE_ROLES] = { "ROLES", "roles", .trunc = true },
};

void lease_clear(CtlLease *lease) {
        g_strfreev(lease->roles);
        lease->roles = NULL;
}

int lease_next(sd_bus_message *reply, CtlLease *ret) {
        *ret = (CtlLease){};
        int r = sd_bus_message_enter_container(reply, 'r', "sutttas");
        if (r <= 0)
                return r;
        r = sd_bus_message_read(
                reply, "suttt", &ret->name, &ret->uid, &ret->timeout_usec, &ret->deadline_usec, &ret->token);
        if (r >= 0)
                r = sd_bus_message_read_strv(reply, &ret->roles);
        if (r >= 0)
                r = sd_bus_message_exit_container(reply);
        return r < 0 ? r : 1;
}

static void lease_add_holder(const Ctl *ctl, Table *table, struct libscols_line *row, const CtlLease *lease) {
        g_autofree char *user = ctl_user_name(ctl, lease->uid);
        g_autofree char *timeout = words_span(lease->timeout_usec);

        table_set(table, row, LEASE_USER, user);
        table_setf(table, row, LEASE_UID, "%" PRIu32, lease->uid);
        table_setf(table, row, LEASE_DEADLINE, "%" PRIu64, lease->deadline_usec);
        table_set(table, row, LEASE_TIMEOUT, timeout);
        table_setf(table, row, LEASE_TIMEOUT_USEC, "%" PRIu64, lease->timeout_usec);
        if (lease->deadline_usec == UINT64_MAX)
                table_set(table, row, LEASE_LEFT, "infinity");
        else if (!ctl->host) { /* else the clock is another one */
                const uint64_t now = now_usec(CLOCK_MONOTONIC);
                g_autofree char *left =
                        words_span(lease->deadline_usec > now ? lease->deadline_usec - now : 0);

                table_set(table, row, LEASE_LEFT, left);
        }
}

static void lease_add(const Ctl *ctl, Table *table, const CtlLease *lease) {
        struct libscols_line *row = table_add_row(table, NULL);
        g_autofree char *roles = lease->roles ? g_strjoinv(" ", lease->roles) : NULL;

        table_set(table, row, LEASE_NAME, lease->name);
        if (lease->uid != NOBODY)
                lease_add_holder(ctl, table, row, lease);
        table_setf(table, row, LEASE_TOKEN, "%" PRIu64, lease->token);
        if (roles && roles[0])
                table_set(table, row, LEASE_ROLES, roles);
}

static int leases_read(const Ctl *ctl, sd_bus_message *reply, Table *table, unsigned *ret_n) {
        unsigned n = 0;

        int r = sd_bus_message_enter_container(reply, 'a', "(sutttas)");
        while (r >= 0) {
                g_auto(CtlLease) lease = {};

                r = lease_next(reply, &lease);
                if (r <= 0)
                        break;
                lease_add(ctl, table, &lease);
                n++;
        }
        *ret_n = n;
        return r;
}

CtlExit verb_leases(Ctl *ctl, int argc, char *argv[]) {
        g_autoptr(sd_bus_message) reply = NULL;
        unsigned n = 0;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, 0, &e))
                return e;
        e = ctl_call(ctl, &reply, "ListLeases", NULL);
        if (e != CTL_EXIT_OK)
                return e;
        g_autoptr(Table) table = table_new(ctl, lease_columns, ELEMENTSOF(lease_columns));
        int r = leases_read(ctl, reply, table, &n);
        if (r < 0)
                return ctl_bad_reply(r);
        if (n == 0 && ctl->json == CTL_JSON_OFF) {
                ctl_say(ctl, "There are no leases.");
                return CTL_EXIT_OK;
        }
        return table_print(table);
}
