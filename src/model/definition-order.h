/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Looks for definitions that wait for each other in a circle, so that none of them could ever start. */

#include "model/definitions.h"

/* Called for each definition of a circle: by what it waits for the next one, and the circle in words, which
 * the callee owns. */
typedef void (*DefinitionRefuse)(void *userdata, const char *name, Dependency kind, char *reason);

/* Calls refuse() after it has found all. Without the definitions that are refused no circle is left. */
void definition_order_check(const Definitions *definitions, DefinitionRefuse refuse, void *userdata);
