/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "base/macro.h"
#include "bus/lease-options.h"

static const BusOption lease_entries[] = {
        LEASE_OPTIONS,
};

const BusOptions lease_options = { "StopMany", lease_entries, sizeof(lease_entries[0]),
        ELEMENTSOF(lease_entries), lease_option_read };
const BusOptions lease_start_options = { "StartMany", lease_entries, sizeof(lease_entries[0]),
        ELEMENTSOF(lease_entries) - 1, lease_option_read };

int lease_option_read(sd_bus_message *m, const BusOption *option, void *userdata, sd_bus_error *error) {
        LeaseUse *use = userdata;

        if (strcmp(option->key, "lease") == 0)
                return bus_read_variant_string(m, option->key, &use->lease, error);
        if (strcmp(option->key, "force") == 0)
                return bus_read_variant_bool(m, option->key, &use->force, error);
        use->token_given = true;
        return bus_read_variant_unsigned(m, option->key, 0, UINT64_MAX, &use->token, error);
}

int lease_options_read(sd_bus_message *m, LeaseUse *ret, sd_bus_error *error) {
        LeaseUse use = {};

        int r = sd_bus_message_at_end(m, true);
        if (r == 0)
                r = bus_read_options(m, &lease_options, &use, error);
        if (r >= 0)
                *ret = use;
        return r;
}

int lease_options_read_start(sd_bus_message *m, LeaseUse *ret, sd_bus_error *error) {
        LeaseUse use = {};

        int r = bus_read_options(m, &lease_start_options, &use, error);
        if (r >= 0)
                *ret = use;
        return r;
}
