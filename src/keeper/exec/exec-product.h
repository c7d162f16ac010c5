/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The product set-up: a script that asks a provider (EUPS, Environment Modules, Lmod) for products, and what it makes of the
 * environment. It runs as the role's user in the role's scope. */

#include "proto/launch-request.h"

/* Runs request->setup with this environment and gives the one it has left, with an array and strings of its own. What the
 * set-up says goes to our stderr as it comes. Nothing that it has started is left when this returns or fails through the gate. */
void product_setup(int gate_fd, const LaunchRequest *request, char *const *env, char ***ret);
