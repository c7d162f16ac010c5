/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "proto/node-errors.h"

static const char *const node_error_table[_NODE_ERROR_MAX] = {
#define X(id, name, number) [NODE_ERROR_##id] = name,
        NODE_ERRORS(X)
#undef X
};

DEFINE_STRING_TABLE(node_error, NodeError, node_error_table);

int node_error_to_errno(NodeError e) {
        static const int table[_NODE_ERROR_MAX] = {
#define X(id, name, number) [NODE_ERROR_##id] = number,
                NODE_ERRORS(X)
#undef X
        };

        return (int) e < 0 || e >= _NODE_ERROR_MAX ? EIO : table[e];
}
