# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
#
# Of the stand-in for EUPS (see eups_setup): to be sourced. As EUPS' own it says nothing by its status, splits what it evaluates,
# and gets the function "setup" from eups_setup.

export EUPS_SHELL=sh
export EUPS_DIR
export EUPS_PATH
# shellcheck disable=SC2006,SC2046
eval `"$EUPS_DIR/bin/eups_setup" "DYLD_LIBRARY_PATH=${DYLD_LIBRARY_PATH}" eups -r "$EUPS_DIR"`
export SETUP_EUPS="eups LOCAL:$EUPS_DIR -f (none) -Z (none)"
