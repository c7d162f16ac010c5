/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The options of a role as a role file has them, in the spellings of systemd: KillSignal=SIGINT,
 * TimeoutStopSec=1min 30s, Environment=A=1 "B=two words", MemoryMax=2G. */

#include "model/role-options.h"

/* Reads what stands after "Key=", with all lines of it joined. The option must have a file_key. Lists and
 * variables are added to those that the spec has, anything else replaces its value, and an empty value gives
 * the option its default. Words are split as by a shell, for variables as by systemd (words.h). Fails with
 * InvalidArgs or NotSupported; the message begins with "Key=", and the spec may have a part of the value. */
int role_option_set_from_text(RoleSpec *spec, const RoleOption *option, const char *value, Fault *fault);
