/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Writes all properties of these roles (CtlDetails) as JSON, an array of objects, as show does. */
CtlExit ctl_show_roles(Ctl *ctl, const GPtrArray *roles);
