/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <errno.h>

#include "base/fd-util.h"
#include "base/journal-streams.h"
#include "model/node.h"
#include "model/outputs.h"
#include "model/role.h"
#include "util/log.h"

struct Outputs {
        Node *node;
        char *directory;
        GHashTable *pool; /* who may share them → GPtrArray of OutputStream */
};

struct OutputStream {
        Outputs *outputs;
        char *key; /* in the pool; NULL if it was closed */
        uid_t uid;
        int fd;
        sd_event_source *closed;
        unsigned n_roles;
};

static void output_streams_free(void *p) {
        g_ptr_array_unref(p);
}

Outputs *outputs_new(Node *node, const char *directory) {
        Outputs *outputs = g_new0(Outputs, 1);

        outputs->node = node;
        outputs->directory = g_strdup(directory);
        outputs->pool = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, output_streams_free);
        return outputs;
}

Outputs *outputs_free(Outputs *outputs) {
        if (!outputs)
                return NULL;
        /* The roles are gone, and a stream without a role is not kept. */
        g_assert(g_hash_table_size(outputs->pool) == 0);
        g_hash_table_unref(outputs->pool);
        g_free(outputs->directory);
        g_free(outputs);
        return NULL;
}

static char *outputs_key(const Role *role) {
        return g_strdup_printf("%u %s %s", (unsigned) role_started_by(role),
                role->spec->stdin_kind == ROLE_STDIN_PTY ? "terminal" : "plain", role_user(role));
}

/* From here on no further role gets it. */
static void output_stream_close(OutputStream *stream) {
        if (!stream->key)
                return;
        GPtrArray *streams = g_hash_table_lookup(stream->outputs->pool, stream->key);
        (void) g_ptr_array_remove(streams, stream);
        if (streams->len == 0)
                (void) g_hash_table_remove(stream->outputs->pool, stream->key);
        stream->closed = sd_event_source_disable_unref(stream->closed);
        stream->fd = fd_close(stream->fd);
        g_clear_pointer(&stream->key, g_free);
}

static void output_stream_take(OutputStream *stream, Role *role) {
        role->output_stream = stream;
        stream->n_roles++;
}

void outputs_role_gone(Outputs *outputs, Role *role) {
        OutputStream *stream = g_steal_pointer(&role->output_stream);

        if (!stream || --stream->n_roles > 0)
                return;
        output_stream_close(stream);
        g_free(stream);
}

/* journald has closed it, or one of its roles has shut it down. */
static int output_stream_on_closed(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        OutputStream *stream = userdata;
        Node *node = stream->outputs->node;
        g_autoptr(GPtrArray) names = node_list_names(node);

        log_warning("A stream to the journal that %u roles share is closed", stream->n_roles);
        output_stream_close(stream);
        for (unsigned i = 0; i < names->len; i++) {
                Role *role = g_hash_table_lookup(node->roles, g_ptr_array_index(names, i));

                if (role && role->output_stream == stream)
                        role_set_output_lost(role, true);
        }
        return 0;
}

static OutputStream *outputs_find(Outputs *outputs, const char *key) {
        GPtrArray *streams = g_hash_table_lookup(outputs->pool, key);

        for (unsigned i = 0; streams && i < streams->len; i++) {
                OutputStream *stream = g_ptr_array_index(streams, i);

                if (stream->n_roles < OUTPUTS_ROLES_MAX)
                        return stream;
        }
        return NULL;
}

OutputChoice outputs_choose(Outputs *outputs, Role *role) {
        OutputChoice own = { .stream = LAUNCH_STREAM_OWN, .fd = -EBADF };

        if (role->spec->output != LAUNCH_OUTPUT_JOURNAL ||
                journal_streams_count(outputs->directory) < (int) OUTPUTS_OWN_MAX)
                return own;

        g_autofree char *key = outputs_key(role);
        OutputStream *stream = outputs_find(outputs, key);
        if (!stream)
                return (OutputChoice){ .stream = LAUNCH_STREAM_OFFERED, .fd = -EBADF };
        output_stream_take(stream, role);
        return (OutputChoice){ .stream = LAUNCH_STREAM_SHARED, .fd = stream->fd, .uid = stream->uid };
}

void outputs_offered(Outputs *outputs, Role *role, uid_t uid, int fd) {
        autofd stream_fd = fd;

        if (role_is_over(role))
                return;
        /* It could not have the one that was chosen for it, which is closed, or another user's. */
        outputs_not_shared(outputs, role, false);
        OutputStream *stream = g_new0(OutputStream, 1);
        *stream = (OutputStream){ .outputs = outputs, .key = outputs_key(role), .uid = uid, .fd = -EBADF };
        output_stream_take(stream, role);
        GPtrArray *streams = g_hash_table_lookup(outputs->pool, stream->key);
        if (!streams) {
                streams = g_ptr_array_new();
                (void) g_hash_table_insert(outputs->pool, g_strdup(stream->key), streams);
        }
        g_ptr_array_add(streams, stream);

        /* It is never made non-blocking, and never read. */
        stream->fd = fd_steal(&stream_fd);
        int r = sd_event_add_io(
                outputs->node->event, &stream->closed, stream->fd, 0, output_stream_on_closed, stream);
        if (r < 0) {
                log_warning_errno(r, "Cannot watch a stream to the journal, nobody shares it: %m");
                output_stream_close(stream);
        }
}

void outputs_not_shared(Outputs *outputs, Role *role, bool lost) {
        outputs_role_gone(outputs, role);
        role_set_output_lost(role, lost);
}

void role_set_output_lost(Role *role, bool lost) {
        if (role->output_lost == lost || role->hook_of)
                return;
        role->output_lost = lost;
        (void) role_save(role);
        node_count_role(role->node, role);
        ASK(role->node, clients, role_changed, role);
}
