#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Sets up products for a role. The keeper's child runs it, as the user of the role and with the environment of
# the role so far, as
#
#     bash --noprofile --norc -p setup-products.bash PROVIDER COMMAND [N ARGUMENT...]...
#
# PROVIDER is eups, modules or lmod; COMMAND is the program of the provider (EUPS is found by EUPS_DIR). Each
# N, with that number of arguments, is one product, in order. On success the whole environment is written to
# the file that is descriptor 3, with a NUL after each variable; otherwise the exit status is not 0 and the
# reason is on standard error.
#
# Before that the same file receives the output of each provider. A pipe would not work: a process that a
# provider leaves in the background keeps it open, and the reader would wait.
#
# Text of users is only used as an argument, or as the value of a variable in quotes, but never as text for a
# shell. The output of the provider is evaluated, as in every shell in which it is used. The shell functions
# of the providers (setup, module) are not called, because they lose exit statuses, and that of EUPS splits
# what it evaluates.

__architect_fail() {
        local status=$1
        shift
        printf '%s\n' "$*" >&2
        exit "$status"
}

# Evaluates the output of a provider. Every command of it must succeed; an "exit" in it is a failure, too.
# This is a function, so that a "set --" in the output does not change the arguments of the script. Descriptor
# 3 is closed for it, because it belongs to the script.
__architect_evaluate() {
        case $__architect_text in
        # Environment Modules reports a failure in this way, after its messages.
        *"test 0 = 1;"*) trap 'exit 100' EXIT ;;
        *)               trap '__architect_fail 100 "(what it printed could not be evaluated)"' EXIT ;;
        esac
        set -e
        eval "$__architect_text" >&2 3>&-
        set +e
        trap - EXIT
}

__architect_bootstrap_eups() {
        [ -n "${EUPS_DIR:-}" ] || __architect_fail 96 "EUPS cannot be found: EUPS_DIR is not set in the environment that roles begin with"
        [ -e "$EUPS_DIR/bin/eups_setup" ] && [ -e "$EUPS_DIR/bin/setups.sh" ] ||
                __architect_fail 96 "EUPS is not installed in EUPS_DIR, $EUPS_DIR: there is no bin/eups_setup and bin/setups.sh"
        # The exit status of the provider is of no use, because it is 0 even if nothing has been done.
        . "$EUPS_DIR/bin/setups.sh" >&2 3>&-
        declare -F setup >/dev/null || __architect_fail 97 "EUPS could not be initialised by $EUPS_DIR/bin/setups.sh"
}

# The arguments are PRODUCT [VERSION] [ARGUMENT...]. EUPS prints "false" with status 0 if it has not found a
# product.
__architect_setup_eups() {
        local status
        "$EUPS_DIR/bin/eups_setup" "DYLD_LIBRARY_PATH=${DYLD_LIBRARY_PATH:-}" "$@" >|/proc/self/fd/3 3>&-
        status=$?
        __architect_text=$(</proc/self/fd/3)
        [ "$status" -eq 0 ] || exit 98
        [ "$__architect_text" != false ] || exit 99
        # Without a product, or with --help, EUPS prints nothing and has done nothing.
        [ -n "$__architect_text" ] || __architect_fail 99 "EUPS has set up nothing"
        __architect_evaluate
}

# Takes one NAME in each call, because with several names Environment Modules would load those before an
# invalid one.
__architect_setup_module() {
        local name=$1 before=":${LOADEDMODULES:-}:" status now
        "$__architect_command" bash load "$name" >|/proc/self/fd/3 3>&-
        status=$?
        __architect_text=$(</proc/self/fd/3)
        [ "$status" -eq 0 ] || exit 98
        [ "$__architect_text" != false ] || exit 99
        __architect_evaluate

        # The module must be loaded, under its name or under another one that Environment Modules knows for
        # it. Lmod does not list such names, so there at least one module must have been loaded.
        now=":${LOADEDMODULES:-}:"
        case $now in
        *":$name:"*|*":$name/"*)        return ;;
        esac
        case "&${__MODULES_LMALTNAME:-}&" in
        *[\&:]"$name"[\&:]*|*[\&:]"$name/"*)    return ;;
        esac
        [ "$now" != "$before" ] || __architect_fail 99 "$__architect_provider says nothing, but has not loaded $name"
}

__architect_provider=$1 __architect_command=$2
shift 2
case $__architect_provider in
eups)   __architect_setup=__architect_setup_eups
        __architect_bootstrap_eups ;;
modules|lmod)
        __architect_setup=__architect_setup_module
        [ -x "$__architect_command" ] ||
                __architect_fail 96 "$__architect_provider is not installed: there is no program $__architect_command" ;;
*)      __architect_fail 96 "there is no provider $__architect_provider" ;;
esac

while [ $# -gt 0 ]; do
        __architect_n=$1
        shift
        "$__architect_setup" "${@:1:__architect_n}"
        shift "$__architect_n"
done

exec /usr/bin/env -0 >|/proc/self/fd/3 3>&-
