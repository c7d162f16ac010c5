/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The names of topics. PREFIX/HOST is the base of all of them. The names of roles and instances have no
 * character that means something in a topic (base/unit-name.h). */

#include <stdbool.h>

#define TOPIC_PREFIX_MAX 200

/* One level of a topic: not empty, without '/' and the wildcards '+' and '#', and UTF-8 without control
 * characters. */
bool topic_level_is_valid(const char *level);

/* Levels with '/' between them, of which the first does not begin with '$', which belongs to the broker. */
bool topic_prefix_is_valid(const char *prefix);

/* The caller frees all of these with g_free(). */
char *topic_base(const char *prefix, const char *host);
char *topic_alive(const char *base);
char *topic_node(const char *base, const char *instance);
char *topic_event(const char *base, const char *instance);
char *topic_role(const char *base, const char *instance, const char *role);
char *topic_roles(const char *base, const char *instance); /* the pattern for the topics of all roles */

/* Returns the name of the role, which is a part of the topic, or NULL if it is not the topic of a role of
 * this instance. The name may be that of no role. */
const char *topic_role_parse(const char *base, const char *instance, const char *topic);
