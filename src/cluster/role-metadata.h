/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the agent says about itself: its parameters and actions, in the XML of the OCF standard. */

extern const char role_metadata[];
