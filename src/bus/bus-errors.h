/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Registers the errno of each error of proto/node-errors.h with sd-bus, for either side of the bus. It must
 * be called before the first message, and may be called again. Returns a negative errno. (The ELF section
 * that would replace this call is only read inside libsystemd itself.) */
int bus_errors_register(void);
