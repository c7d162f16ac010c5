/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse-util.h"
#include "cluster/cluster-message.h"

#define MESSAGE_BEGINS "architect 1 "

static const char *const cluster_verb_table[] = {
        [CLUSTER_BEAT] = "beat",
        [CLUSTER_FENCE] = "fence",
        [CLUSTER_HEARD] = "heard",
        [CLUSTER_GONE] = "gone",
};
DEFINE_STRING_TABLE(cluster_verb, ClusterVerb, cluster_verb_table);

/* Any bytes but those that would end the word. */
static bool name_is_valid(const char *name) {
        const size_t n = strlen(name);

        return n > 0 && n <= CLUSTER_NAME_MAX && strcspn(name, " \n") == n;
}

int cluster_message_write(const ClusterMessage *message, char ret[static CLUSTER_MESSAGE_MAX]) {
        if (!name_is_valid(message->name))
                return -EINVAL;
        return snprintf(ret, CLUSTER_MESSAGE_MAX, MESSAGE_BEGINS "%s %s %" PRIu64,
                cluster_verb_to_string(message->verb), message->name, message->number);
}

int cluster_message_read(const char *data, size_t size, ClusterMessage *ret) {
        char text[CLUSTER_MESSAGE_MAX + 1], *verb, *name, *number, *rest = text;
        ClusterMessage message;

        if (size > CLUSTER_MESSAGE_MAX || memchr(data, '\0', size))
                return -EBADMSG;
        memcpy(text, data, size);
        text[size] = '\0';
        if (strncmp(text, MESSAGE_BEGINS, strlen(MESSAGE_BEGINS)) != 0)
                return -EBADMSG;
        rest += strlen(MESSAGE_BEGINS);
        verb = strsep(&rest, " ");
        name = rest ? strsep(&rest, " ") : NULL;
        number = rest;
        if (!name || !number || !name_is_valid(name) || parse_u64(number, &message.number) < 0)
                return -EBADMSG;
        message.verb = cluster_verb_from_string(verb);
        if (message.verb < 0)
                return -EBADMSG;
        memcpy(message.name, name, strlen(name) + 1); /* name_is_valid() has checked it */
        *ret = message;
        return 0;
}
