# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh
#
# This part of the stand-in for EUPS (see eups_setup) is sourced. Like that of EUPS its status has no meaning,
# it splits what it evaluates, and it gets the function "setup" from eups_setup.

export EUPS_SHELL=sh
export EUPS_DIR
export EUPS_PATH
# shellcheck disable=SC2006,SC2046
eval `"$EUPS_DIR/bin/eups_setup" "DYLD_LIBRARY_PATH=${DYLD_LIBRARY_PATH}" eups -r "$EUPS_DIR"`
export SETUP_EUPS="eups LOCAL:$EUPS_DIR -f (none) -Z (none)"
