/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* MESSAGE_ID= of the lifecycle events in the journal, for programs and for "journalctl -x".
 * data/architect-node.catalog contains a text for each. They never change. */

#define MESSAGE_ROLE_STARTED "7e512f286c1046ee93520ed4d4af635a"
#define MESSAGE_ROLE_START_FAILED "d4f7ae2906584f56a0822a7dfe909b10"
#define MESSAGE_ROLE_STOPPING "71949f2d75724654abd4e277662ff111"
#define MESSAGE_ROLE_KILLED "4dcefc018fed4bc293f3086db8036c98"
#define MESSAGE_ROLE_EXITED "7a13eca6ed174876bbc827e3d438f2b7"
#define MESSAGE_ROLE_LEFT_PROCESSES "470efd4197f84a3eb4743f9da2338c73"
#define MESSAGE_ROLE_PURGED "fe4d9cc36ef04c6d80d77da611b4533e"
#define MESSAGE_ROLE_STUCK "70c83c05136a4d99b6a4a4b4b2c12c6e"
#define MESSAGE_ROLE_LEFT_SCOPE "0c4ca9170d2741bbbc3c526e9c971aad"
#define MESSAGE_MONITOR_TIMED_OUT "78ded7f731b54204bff11098c10c6086"
#define MESSAGE_SHUTTING_DOWN "785fc0cf4f9440e18a19bf7462eccf09"
