/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The service, and what it says when it refuses something. Everything that architectctl does it does with
 * these calls. */

#include "ctl/ctl.h"

/* Connects, unless that has been done: root on the private socket, which needs no bus, unless --user, --host
 * or --machine are given or the service is not there; everybody else on the bus. */
CtlExit ctl_connect(Ctl *ctl);

/* The same, on the bus. Signals arrive only there, so a verb that needs them calls this first. */
CtlExit ctl_connect_bus(Ctl *ctl);

/* The same for a verb that can do without signals: reports nothing, and returns whether there is a bus. */
bool ctl_try_connect_bus(Ctl *ctl);

void ctl_disconnect(Ctl *ctl);

/* Connects anew to the bus, and reports nothing. Returns a negative errno and why, which the caller frees;
 * ret_reason may be NULL. */
int ctl_reconnect(Ctl *ctl, char **ret_reason);

/* Sets up a bus that was connected, and the name of the service. Returns a negative errno, and disconnects
 * then. */
int ctl_use_bus(Ctl *ctl);

/* Makes a call of a method of the node; types and what follows are its arguments, as for
 * sd_bus_message_append(). The caller unrefs *ret. Connects first. */
CtlExit ctl_new_call(Ctl *ctl, sd_bus_message **ret, const char *member, const char *types, ...);

/* The same for a method of another interface or object of the service. */
CtlExit ctl_new_call_of(
        Ctl *ctl, sd_bus_message **ret, const char *path, const char *interface, const char *member);

/* Reports that something cannot be appended to a call, as text that is not UTF-8. Returns the exit status. */
CtlExit ctl_cannot_send(int r);

/* Returns the first argument of a call if that is a string, otherwise NULL. In most calls it is the role, and
 * only that says which one an error is about. */
const char *ctl_call_role(sd_bus_message *call);

/* Sends a call and waits for the reply, as long as the service takes, because a stop may take longer than the
 * 25 s of sd-bus; --timeout= limits it. ret_reply may be NULL. ctl_call() makes the call, too. */
CtlExit ctl_send(Ctl *ctl, sd_bus_message *call, sd_bus_message **ret_reply);
CtlExit ctl_call(Ctl *ctl, sd_bus_message **ret_reply, const char *member, const char *types, ...);

/* The same for a call whose first argument is not the role that it is about, which may be NULL. */
CtlExit ctl_send_about(Ctl *ctl, sd_bus_message *call, const char *role, sd_bus_message **ret_reply);

/* The same, but the caller gets the error, which is set, and reports it if it likes. Returns a negative errno
 * then. */
int ctl_try(Ctl *ctl, sd_bus_message *call, sd_bus_error *error, sd_bus_message **ret_reply);

/* Sends a call whose reply goes to the callback while ctl_run_until() runs. The callback reports an error
 * with ctl_report(). */
CtlExit ctl_send_async(Ctl *ctl, sd_bus_message *call, sd_bus_message_handler_t callback, void *userdata);

/* Reports what a call has failed with: the message of the service, and the remedy. role is the role that it
 * was about, or NULL. Returns the exit status of the error. */
CtlExit ctl_report(Ctl *ctl, const char *role, const sd_bus_error *error);

/* The same for an object of a role that is not there. */
CtlExit ctl_report_no_role(Ctl *ctl, const char *role);

/* Reports that the connection has ended, by this negative errno. Returns CTL_EXIT_FAILED. */
CtlExit ctl_report_lost(int r);

/* Returns the exit status of an error, by its name on the bus, as architectctl(1) documents it. */
CtlExit ctl_error_to_exit(const char *name);

/* Returns whether the service does not run, and cannot be started by the call. */
bool ctl_error_is_no_service(const sd_bus_error *error);

/* Reports that a reply is not what this program knows, for example because the service has another version.
 * Returns CTL_EXIT_FAILED. */
CtlExit ctl_bad_reply(int r);

/* The name of the method that a verb calls, such as "Signal", with the options of a lease if they are needed.
 * What it is has to be freed. */
char *ctl_change_name(const Ctl *ctl, const char *method);
/* Appends these options after all arguments of that method. Returns a negative errno. */
int ctl_append_change(const Ctl *ctl, sd_bus_message *call);

/* Returns whether the service is on the bus, without starting it and without a message. */
bool ctl_service_runs(Ctl *ctl);

/* Returns the unit of the service. The caller frees it. */
char *ctl_unit_name(const Ctl *ctl);

/* Makes a call for all properties of an interface of an object of the service. The caller unrefs *ret. */
CtlExit ctl_new_get_all(Ctl *ctl, sd_bus_message **ret, const char *path, const char *interface);

/* Reads a property of the node, of this type. *ret is within the variant; the caller unrefs it. */
CtlExit ctl_get_property(Ctl *ctl, const char *property, const char *type, sd_bus_message **ret);

/* Subscribes to the signals of the node of this instance. The callback gets each one. Connects to the bus. */
CtlExit ctl_subscribe(Ctl *ctl, sd_bus_message_handler_t callback, void *userdata);

/* The callback gets NameOwnerChanged of the name of the service: three strings, the name, its owner before
 * and its owner now, of which an empty one is none. Connects to the bus. */
CtlExit ctl_subscribe_owner(Ctl *ctl, sd_bus_message_handler_t callback, void *userdata);

/* Handles what arrives until *done is true. Fails if the connection is lost. The second one also returns at
 * this time of CLOCK_MONOTONIC, in microseconds. */
CtlExit ctl_run_until(Ctl *ctl, const bool *done);
CtlExit ctl_run_until_time(Ctl *ctl, const bool *done, uint64_t deadline_usec);
