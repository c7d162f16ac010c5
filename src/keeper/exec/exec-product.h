/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The product set-up is a script that gets products from a provider (EUPS, Environment Modules, Lmod) and
 * changes the environment. It runs as the user of the role, in the scope of the role. */

#include "proto/launch-request.h"

/* Runs request->setup with this environment and returns the environment that it has left, in an array and
 * strings of its own. The output of the set-up is written to stderr at once. No process that it has started
 * remains when this function returns or fails through the gate. */
void product_setup(int gate_fd, const LaunchRequest *request, char *const *env, char ***ret);
