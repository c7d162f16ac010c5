/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The hosts that --host= names, one by one or as groups of the files /etc/architect-node/hosts and
 * ~/.config/architect-node/hosts, which architect-node.hosts(5) describes. A file has a group in each line,
 * as in "cameras = cam1 cam2 root@cam3 @focusers"; a group of the user's file replaces the one of the same
 * name. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct HostGroups HostGroups;

HostGroups *host_groups_new(void);
HostGroups *host_groups_free(HostGroups *groups);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HostGroups, host_groups_free)

/* Adds the groups of a file, whose path is for messages. text[size] is NUL. For each line that is wrong it
 * adds a text "PATH:LINE: REASON" to errors, and goes on with the next line. */
void host_groups_parse(
        HostGroups *groups, const char *path, const char *text, size_t size, GPtrArray *errors);

/* Reads both files, of which each may not exist, and checks that every group that a group names is one. */
void host_groups_load(HostGroups *groups, GPtrArray *errors);
void host_groups_check(const HostGroups *groups, GPtrArray *errors);

/* Appends the hosts that the words stand for to hosts, each once, in the order of the words: a host,
 * "@group", or several of these with commas in between. "@all" are the hosts of all groups, unless there is a
 * group of this name. The caller frees what it appends. Returns NULL, or what is wrong, which the caller
 * frees. */
char *host_groups_expand(const HostGroups *groups, char *const *words, GPtrArray *hosts);

/* Whether the words need groups, so that the files have to be read. */
bool host_words_have_group(char *const *words);

/* Whether it can be passed to ssh: [USER@]HOST[:PORT][/CONTAINER], where HOST may be [ADDRESS], too. Nothing
 * of it begins with "-", which ssh would take for an option. */
bool host_is_valid(const char *host);

/* Divides a valid one. The parts that it does not have are NULL; where has USER@HOST, without brackets. The
 * caller frees all. */
void host_split(const char *host, char **ret_where, char **ret_port, char **ret_container);
