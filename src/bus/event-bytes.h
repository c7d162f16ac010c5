/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An event from its record in the log, as an element of the reply of EventsSince. */

#include "bus/bus-bytes.h"
#include "model/event-record.h"

/* Appends a (ttssa{sv}). Returns false, after it has appended a part, if the record is damaged. */
bool event_bytes_append(BusBytes *bytes, const EventRecord *record);
