/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A message of another host of the cluster. What is accepted is written in the same bytes, but for the zeros
 * before a number. */

#include <string.h>

#include "cluster/cluster-message.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ClusterMessage message, again;
        char text[CLUSTER_MESSAGE_MAX];

        if (cluster_message_read((const char *) data, size, &message) < 0)
                return 0;
        int n = cluster_message_write(&message, text);
        fuzz_check(n > 0 && n < CLUSTER_MESSAGE_MAX && (size_t) n <= size);
        fuzz_check(cluster_message_read(text, (size_t) n, &again) == 0);
        fuzz_check(again.verb == message.verb && again.number == message.number);
        fuzz_check(strcmp(again.name, message.name) == 0);
        return 0;
}
