/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Makes sd-bus know the errno of every error of proto/node-errors.h, on whichever side of the bus this process is. To be called
 * once, before the first message; again does no harm. (The ELF section that needs no call is only read inside libsystemd itself.) */
int bus_errors_register(void);
