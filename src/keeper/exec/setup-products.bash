#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Sets up products for a role: architect-keeper's child runs this, as the role's user and with the role's environment so far, as
#
#     bash --noprofile --norc -p setup-products.bash PROVIDER COMMAND [N ARGUMENT...]...
#
# PROVIDER is eups, modules or lmod; COMMAND is the provider's program (of EUPS it is found by EUPS_DIR). Each N and so many
# arguments are one product, in order. On success the whole environment is written to the file that is descriptor 3, each
# variable with a NUL; otherwise the exit status is not 0 and the reason is on standard error.
#
# Before that the same file takes what each provider prints. A pipe would not do: whatever a provider leaves in the background keeps
# it open, and who reads it waits.
#
# What users have written is only ever an argument here, or the value of a variable in quotes: never text for a shell. What is evaluated
# is what the provider prints, as in every shell in which it is used. The providers' own shell functions (setup, module)
# are not called: they lose exit statuses, and EUPS' one splits what it evaluates.

__architect_fail() {
        local status=$1
        shift
        printf '%s\n' "$*" >&2
        exit "$status"
}

# All that a provider prints is evaluated, and every command of it has to succeed; an "exit" in it is a failure too. In a
# function, so that a "set --" in it does not reach our arguments; without descriptor 3, which is ours alone.
__architect_evaluate() {
        case $__architect_text in
        *"test 0 = 1;"*) trap 'exit 100' EXIT ;;        # how Environment Modules says that it has failed, after its words
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
        # Its own status says nothing: it is 0 even when it has done nothing.
        . "$EUPS_DIR/bin/setups.sh" >&2 3>&-
        declare -F setup >/dev/null || __architect_fail 97 "EUPS could not be initialised by $EUPS_DIR/bin/setups.sh"
}

# PRODUCT [VERSION] [ARGUMENT...]. "false" with status 0 is how EUPS says that it has not found a product.
__architect_setup_eups() {
        local status
        "$EUPS_DIR/bin/eups_setup" "DYLD_LIBRARY_PATH=${DYLD_LIBRARY_PATH:-}" "$@" >|/proc/self/fd/3 3>&-
        status=$?
        __architect_text=$(</proc/self/fd/3)
        [ "$status" -eq 0 ] || exit 98
        [ "$__architect_text" != false ] || exit 99
        # Without a product, or with --help, it prints nothing and has done nothing.
        [ -n "$__architect_text" ] || __architect_fail 99 "EUPS has set up nothing"
        __architect_evaluate
}

# NAME, one a call: of several, Environment Modules would load those before a bad one.
__architect_setup_module() {
        local name=$1 before=":${LOADEDMODULES:-}:" status now
        "$__architect_command" bash load "$name" >|/proc/self/fd/3 3>&-
        status=$?
        __architect_text=$(</proc/self/fd/3)
        [ "$status" -eq 0 ] || exit 98
        [ "$__architect_text" != false ] || exit 99
        __architect_evaluate

        # It has to be among the loaded ones, under its name or one that Environment Modules knows it by as well. Lmod does not tell
        # those: then something has to have been loaded.
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
