/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <stdlib.h>
#include <string.h>

#include "base/unit-name.h"
#include "notify/notify-instances.h"
#include "proto/node-names.h"

#define MATCH \
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus'," \
        "interface='org.freedesktop.DBus'," \
        "member='NameOwnerChanged',arg0namespace='" NODE_BUS_NAME "'"

static void instances_take(NotifyInstances *instances, const char *name) {
        const size_t prefix = strlen(NODE_BUS_NAME);

        if (strcmp(name, NODE_BUS_NAME) == 0)
                instances->found(instances->bus, NODE_DEFAULT_INSTANCE, instances->userdata);
        else if (strncmp(name, NODE_BUS_NAME ".", prefix + 1) == 0 &&
                 instance_name_is_valid(name + prefix + 1))
                instances->found(instances->bus, name + prefix + 1, instances->userdata);
}

static int instances_on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *name, *old, *new;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 && new[0])
                instances_take(userdata, name);
        return 0;
}

int notify_instances_watch(NotifyInstances *instances) {
        char **names = NULL;

        int r = sd_bus_add_match(instances->bus, NULL, MATCH, instances_on_owner, instances);
        if (r >= 0)
                r = sd_bus_list_names(instances->bus, &names, NULL);
        if (r < 0)
                return r;
        for (char **name = names; *name; name++) {
                instances_take(instances, *name);
                free(*name);
        }
        free(names);
        return 0;
}
