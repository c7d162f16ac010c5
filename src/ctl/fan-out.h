/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A verb for several hosts. It runs once for each, at the same time, in threads of which one at a time does
 * anything but wait (baton.h), and gather.h prints what they have to say. */

#include "ctl/verb.h"

/* Runs the verb on ctl->hosts. argv is that of the verb. address() makes the address of a host for sd-bus,
 * which is freed here. Returns CTL_EXIT_FAILED if any host has failed. */
CtlExit fan_out_run(
        Ctl *ctl, const CtlVerb *verb, int argc, char *argv[], char *(*address)(const char *host));

/* The address by which ssh asks nothing. */
char *fan_out_address(const char *host);
