/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a child does between its clone and its exec: it closes what is not its own, waits at the gate, reads its launch request,
 * sets itself up and becomes the role. It has one thread, so the C library and NSS may be used; once it has its descriptors it
 * fails only through gate_fail(). */

#include "base/macro.h"
#include "keeper/exec/exec-parameters.h"

_noreturn_ void exec_invoke(ExecParameters *p);
