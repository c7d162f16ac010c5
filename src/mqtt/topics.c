/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib.h>
#include <string.h>

#include "base/utf8.h"
#include "mqtt/topics.h"

#define ROLE_LEVEL "/role/"

static bool text_is_valid(const char *text, const char *forbidden) {
        for (const char *c = text; *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f || strchr(forbidden, *c))
                        return false;
        return text[0] && utf8_is_valid(text);
}

bool topic_level_is_valid(const char *level) {
        return text_is_valid(level, "/+#");
}

bool topic_prefix_is_valid(const char *prefix) {
        return text_is_valid(prefix, "+#") && strlen(prefix) <= TOPIC_PREFIX_MAX &&
               !strchr("$/", prefix[0]) && !g_str_has_suffix(prefix, "/") && !strstr(prefix, "//");
}

char *topic_base(const char *prefix, const char *host) {
        return g_strconcat(prefix, "/", host, NULL);
}

char *topic_alive(const char *base) {
        return g_strconcat(base, "/alive", NULL);
}

char *topic_node(const char *base, const char *instance) {
        return g_strconcat(base, "/", instance, "/node", NULL);
}

char *topic_event(const char *base, const char *instance) {
        return g_strconcat(base, "/", instance, "/event", NULL);
}

char *topic_role(const char *base, const char *instance, const char *role) {
        return g_strconcat(base, "/", instance, ROLE_LEVEL, role, NULL);
}

char *topic_roles(const char *base, const char *instance) {
        return topic_role(base, instance, "+");
}

const char *topic_role_parse(const char *base, const char *instance, const char *topic) {
        g_autofree char *start = topic_role(base, instance, "");

        if (!g_str_has_prefix(topic, start))
                return NULL;
        topic += strlen(start);
        return topic_level_is_valid(topic) ? topic : NULL;
}
