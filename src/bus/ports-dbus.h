/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The methods of reserved ports; clients-private.h registers them. */

#include "bus/bus-util.h"

extern const BusOptions bind_ports_options; /* of BindPorts */
