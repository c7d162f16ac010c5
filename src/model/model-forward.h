/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Contains typedefs only, which breaks cycles between headers. */

typedef struct Node Node;
typedef struct Role Role;
typedef struct RoleEnd RoleEnd;
typedef struct RoleFreezer RoleFreezer;
typedef struct Damage Damage;
typedef struct RoleSpec RoleSpec;
typedef struct AutoStart AutoStart;
typedef struct Definition Definition;
typedef struct Definitions Definitions;
typedef struct RoleInput RoleInput;
typedef struct Account Account;
typedef struct Accounts Accounts;
typedef struct AccountQuery AccountQuery;
typedef struct Events Events;
typedef struct Env Env;
typedef struct Leases Leases;
typedef struct Lease Lease;
typedef struct LeaseUse LeaseUse;
typedef struct Monitor Monitor;
typedef struct Outputs Outputs;
typedef struct Ports Ports;
typedef struct Quota Quota;
typedef struct PortsRequest PortsRequest;
typedef struct TerminalSocketRequest TerminalSocketRequest;
typedef struct Settings Settings;
typedef struct Stray Stray;
