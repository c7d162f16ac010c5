/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "model/auto-start.h"

#include <errno.h>
#include <unistd.h>

#include "base/pidref.h"
#include "base/unit-name.h"
#include "model/definitions.h"
#include "model/leases.h"
#include "model/node-start.h"
#include "model/node-stop.h"
#include "model/node.h"
#include "model/role.h"
#include "model/state-fields.h"
#include "util/log.h"

#define AUTO_START_VERSION 1U

static const StateFile auto_start_file = {
        .name = AUTO_START_FILE,
        .max = 4U * 1024U * 1024U,
        .what = "which roles were started by AutoStart=",
        .consequence = "; none is started by it now",
};

struct AutoStart {
        int dir_fd;       /* not owned */
        bool found;       /* there was a file */
        bool done;        /* since the last start of the service */
        unsigned n_holds; /* while there are any, changes are saved later */
        bool dirty;       /* there are some */
        char *boot_id;
        GHashTable *stopped; /* names, owned, of the roles that somebody has stopped by hand */
        char *unknown;       /* fields of a newer version */
};

static int auto_start_parse(void *userdata, StateFields *fields) {
        AutoStart *a = userdata;

        g_free(a->boot_id);
        a->boot_id = state_take_string(fields, "BOOT_ID");
        a->done = state_take_bool(fields, "DONE");
        g_auto(GStrv) stopped = state_take_strv(fields, "STOPPED");
        for (char **name = stopped; name && *name; name++)
                if (role_name_is_valid(*name))
                        g_hash_table_add(a->stopped, g_strdup(*name));
                else
                        state_fields_set_bad(fields);
        return state_fields_version(fields) == 0 ? -EBADMSG : state_fields_end(fields, &a->unknown);
}

AutoStart *auto_start_open(int dir_fd) {
        AutoStart *a = g_new(AutoStart, 1);
        char boot_id[33];

        *a = (AutoStart){
                .dir_fd = dir_fd,
                .stopped = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        };
        const StateFileResult result = state_file_load(&auto_start_file, dir_fd, auto_start_parse, a);
        a->found = result != STATE_FILE_NONE;
        if (result == STATE_FILE_DAMAGED) {
                g_hash_table_remove_all(a->stopped);
                a->done = true;
        } else if (a->boot_id && boot_id_read(boot_id) >= 0 && !g_str_equal(boot_id, a->boot_id)) {
                g_hash_table_remove_all(a->stopped);
                a->done = false;
        }
        return a;
}

AutoStart *auto_start_close(AutoStart *a) {
        if (!a)
                return NULL;
        g_hash_table_unref(a->stopped);
        g_free(a->boot_id);
        g_free(a->unknown);
        g_free(a);
        return NULL;
}

static void auto_start_save(AutoStart *a) {
        a->dirty = a->n_holds > 0;
        if (a->dirty)
                return;

        GString *s = state_fields_new("", AUTO_START_VERSION, a->unknown);
        char boot_id[33];
        GHashTableIter iter;
        const char *name;

        if (boot_id_read(boot_id) >= 0)
                state_put_string(s, "BOOT_ID", boot_id);
        state_put_nonzero(s, "DONE", a->done);
        g_hash_table_iter_init(&iter, a->stopped);
        while (g_hash_table_iter_next(&iter, (void **) &name, NULL))
                state_put_string(s, "STOPPED", name);
        int r = state_file_save(&auto_start_file, a->dir_fd, s);
        if (r < 0)
                log_warning_errno(r,
                        "Cannot save which roles were started by AutoStart= or stopped by hand, ignoring: %m");
}

void auto_start_stopped(Node *node, const char *name) {
        /* Of other roles nobody asks. */
        if (node->auto_start && definitions_find(node->definitions, name) &&
                g_hash_table_add(node->auto_start->stopped, g_strdup(name)))
                auto_start_save(node->auto_start);
}

void auto_start_started(Node *node, const char *name) {
        if (node->auto_start && g_hash_table_remove(node->auto_start->stopped, name))
                auto_start_save(node->auto_start);
}

bool auto_start_was_stopped(const Node *node, const char *name) {
        return node->auto_start && g_hash_table_contains(node->auto_start->stopped, name);
}

void auto_start_hold(Node *node) {
        if (node->auto_start)
                node->auto_start->n_holds++;
}

void auto_start_release(Node *node) {
        AutoStart *a = node->auto_start;

        if (!a || --a->n_holds > 0)
                return;
        if (a->dirty)
                auto_start_save(a);
}

void auto_start_end(AutoStart *a, bool clean) {
        if (!a)
                return;
        a->done = false;
        if (clean && g_hash_table_size(a->stopped) == 0)
                state_file_forget(&auto_start_file, a->dir_fd);
        else
                auto_start_save(a);
}

/* -- the starts -- */

static void auto_start_report(const char *name, const Fault *fault) {
        log_error("Cannot start role \"%s\", which has AutoStart=yes: %s", name, fault->message);
}

static void auto_start_on_started(void *userdata, const Fault *fault) {
        g_autofree char *name = userdata;

        /* The next process goes on with the start. */
        if (fault && fault->error != NODE_ERROR_SHUTTING_DOWN)
                auto_start_report(name, fault);
}

static void auto_start_role(Node *node, const Definition *definition) {
        const Caller self = { .known = true, .uid = geteuid(), .pid = getpid() };
        const Role *role = g_hash_table_lookup(node->roles, definition->name);
        g_auto(Fault) fault = {};

        if (auto_start_was_stopped(node, definition->name)) {
                log_info("Role \"%s\" was stopped by hand, so AutoStart=yes does not start it",
                        definition->name);
                return;
        }
        /* The previous process has died while it did this, after it had come to this role. */
        if (role && role->state != ROLE_ENDED)
                return;

        /* The service is no manager. */
        if (definition->spec && definition->spec->lease) {
                (void) fault_set(&fault, NODE_ERROR_NO_SUCH_LEASE,
                        "it belongs to lease \"%s\", whose holder starts it", definition->spec->lease);
                auto_start_report(definition->name, &fault);
                return;
        }

        Waiter waiter = { auto_start_on_started, g_strdup(definition->name) };
        const LeaseUse use = {};
        if (node_start_defined(node, definition->name, &use, &self, true, waiter, &fault) < 0) {
                auto_start_report(definition->name, &fault);
                g_free(waiter.userdata);
        }
}

void auto_start_run(Node *node) {
        AutoStart *a = node->auto_start;

        /* A version without this file has left the roles. */
        if (a && !a->found && g_hash_table_size(node->roles) > 0)
                a->done = true;
        if (!a || a->done || node_is_shutting_down(node))
                return;
        /* If this process dies in the loop, the next one finds this file beside the roles, and goes on. */
        auto_start_save(a);
        node_hold_starts(node);
        for (unsigned i = 0; i < definitions_count(node->definitions); i++) {
                const Definition *definition = definitions_get(node->definitions, i);

                if (definition->autostart)
                        auto_start_role(node, definition);
        }
        node_release_starts(node);
        /* Each of them is saved. If this process dies before this, the next one starts the others. */
        a->done = true;
        auto_start_save(a);
}
