/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bus/bus-util.h"
#include "bus/operation.h"
#include "util/log.h"

typedef struct Operation {
        sd_bus_message *call;
        char *path;
} Operation;

static void operation_done(void *userdata, const Fault *fault) {
        Operation *operation = userdata;
        int r;

        if (fault)
                r = sd_bus_reply_method_errorf(
                        operation->call, node_error_to_string(fault->error), "%s", fault->message);
        else if (operation->path)
                r = sd_bus_reply_method_return(operation->call, "o", operation->path);
        else
                r = sd_bus_reply_method_return(operation->call, NULL);
        /* The caller may have left the bus. */
        if (r < 0)
                log_debug_errno(
                        r, "Cannot reply to %s, ignoring: %m", sd_bus_message_get_member(operation->call));

        sd_bus_message_unref(operation->call);
        g_free(operation->path);
        g_free(operation);
}

Waiter operation_new(sd_bus_message *call, const char *path) {
        Operation *operation = g_new0(Operation, 1);

        operation->call = sd_bus_message_ref(call);
        operation->path = g_strdup(path);
        return (Waiter){ operation_done, operation };
}

void operation_fail(sd_bus_message *call, const Fault *fault) {
        waiter_wake(operation_new(call, NULL), fault);
}

void operation_fail_all(GQueue *calls, const Fault *fault) {
        sd_bus_message *call;

        while ((call = g_queue_pop_head(calls))) {
                operation_fail(call, fault);
                sd_bus_message_unref(call);
        }
}

int operation_resume(sd_bus *bus, sd_bus_message *call) {
        g_auto(Fault) fault = {};

        int r = bus_message_requeue(bus, call);
        if (r >= 0)
                return 0;
        (void) fault_set(&fault, NODE_ERROR_IO_ERROR, "Cannot resume the call: %s", g_strerror(-r));
        operation_fail(call, &fault);
        return r;
}

int fault_to_bus_error(const Fault *fault, int error, sd_bus_error *ret) {
        if (fault->message)
                return sd_bus_error_setf(ret, node_error_to_string(fault->error), "%s", fault->message);
        return sd_bus_error_set_errno(ret, error);
}
