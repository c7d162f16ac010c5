/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The steps of a child between its clone and its exec. It closes what it does not need, waits at the gate,
 * reads its launch request, prepares its process and becomes the role. It has one thread, so it may use the C
 * library and NSS. Once it has its descriptors it fails only through gate_fail(). */

#include "base/macro.h"
#include "keeper/exec/exec-parameters.h"

_noreturn_ void exec_invoke(ExecParameters *p);
