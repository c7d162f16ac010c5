/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The saved files: what is read can be written, and what is written is read back unchanged. */

#include <glib.h>
#include <string.h>

#include "fuzz.h"
#include "model/role.h"
#include "model/state-fields.h"

typedef struct Content {
        char *string;
        char **list;
        char **words;
        uint64_t number;
        int32_t signed_number;
        bool flag;
        RoleStdin kind;
        Caller caller;
        GPtrArray *names; /* key, value, key, value... */
        char *unknown;
} Content;

static void content_clear(Content *c) {
        g_free(c->string);
        g_strfreev(c->list);
        g_strfreev(c->words);
        caller_clear(&c->caller);
        g_clear_pointer(&c->names, g_ptr_array_unref);
        g_free(c->unknown);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Content, content_clear)

static int content_read(const char *text, const char *prefix, Content *ret) {
        g_autoptr(StateFields) fields = state_fields_parse(text, prefix);
        char *name, *value;

        *ret = (Content){ .names = g_ptr_array_new_with_free_func(g_free) };
        ret->string = state_take_string(fields, "STRING");
        ret->list = state_take_strv(fields, "LIST");
        ret->words = state_take_words(fields);
        ret->number = state_take_u64(fields, "NUMBER");
        ret->signed_number = state_take_i32(fields, "SIGNED", 0);
        ret->flag = state_take_bool(fields, "FLAG");
        ret->kind = state_take_enum(fields, "KIND", role_stdin, ROLE_STDIN_PIPE);
        state_take_caller(fields, "CALLER", &ret->caller);
        while (state_take_next(fields, &name, &value)) {
                fuzz_check(!g_str_has_prefix(name, prefix));
                g_ptr_array_add(ret->names, name);
                g_ptr_array_add(ret->names, value);
        }
        return state_fields_end(fields, &ret->unknown);
}

static char *content_write(const Content *c, const char *prefix) {
        GString *s = state_fields_new(prefix, 1, c->unknown);

        state_put_string(s, "STRING", c->string);
        state_put_strv(s, "LIST", c->list);
        for (char **w = c->words; w && *w; w++)
                state_put_word(s, "", *w);
        state_put_u64(s, "NUMBER", c->number);
        state_put_i64(s, "SIGNED", c->signed_number);
        state_put_nonzero(s, "FLAG", c->flag);
        state_put_enum(s, "KIND", role_stdin, c->kind);
        state_put_caller(s, "CALLER", &c->caller);
        for (unsigned i = 0; i < c->names->len; i += 2)
                state_put_string(s, g_ptr_array_index(c->names, i), g_ptr_array_index(c->names, i + 1));
        return state_fields_finish(s);
}

static bool same_lists(char **a, char **b) {
        return a && b ? g_strv_equal((const char *const *) a, (const char *const *) b) : a == b;
}

static void run(const char *text, const char *prefix) {
        g_auto(Content) c = {}, again = {}, cut = {}, beheaded = {};

        if (content_read(text, prefix, &c) < 0) {
                fuzz_check(!c.unknown);
                return;
        }
        fuzz_check(!c.string || g_utf8_validate(c.string, -1, NULL));
        fuzz_check(c.caller.pid >= 0);

        g_autofree char *saved = content_write(&c, prefix);
        fuzz_check(content_read(saved, prefix, &again) >= 0);
        fuzz_check(g_strcmp0(c.string, again.string) == 0 && same_lists(c.list, again.list));
        fuzz_check(same_lists(c.words, again.words));
        fuzz_check(c.number == again.number && c.signed_number == again.signed_number);
        fuzz_check(c.flag == again.flag && c.kind == again.kind);
        fuzz_check(c.caller.known == again.caller.known);
        fuzz_check(c.names->len == again.names->len && g_strcmp0(c.unknown, again.unknown) == 0);
        g_autofree char *saved_again = content_write(&again, prefix);
        fuzz_check(g_str_equal(saved, saved_again));

        /* A file that lacks one byte, at either end, is refused. */
        fuzz_check(content_read(saved + 1, prefix, &beheaded) < 0);
        saved[strlen(saved) - 1] = '\0';
        fuzz_check(content_read(saved, prefix, &cut) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = g_strndup((const char *) data, size);

        run(text, "");
        run(text, "#");
        return 0;
}
