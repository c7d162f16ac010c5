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
# The output of each product on standard error begins with a NUL, and so does what is said about all of them,
# so that the reader knows to what an error belongs.
#
# Text of users is only used as an argument, or as the value of a variable in quotes, but never as text for a
# shell. The output of the provider is evaluated, as in every shell in which it is used. The shell functions
# of the providers (setup, module) are not called, because they lose exit statuses, and that of EUPS splits
# what it evaluates.

# The variables of the functions that evaluate text have names that no text uses.

__architect_fail() {
        local status=$1 IFS=' '
        shift
        printf '%s\n' "$*" >&2
        exit "$status"
}

# -- the text of a provider --

# Fails if a value contains a newline without quotes, as Environment Modules and Lmod 8.6 print it: what
# follows would run as a command. The line of such an assignment is not terminated, and a later line ends with
# the export of the variable.
__architect_check_lines() {
        local line plain name=
        while IFS= read -r line; do
                plain=${line//\\?/}
                if [[ $plain =~ ^([A-Za-z_][A-Za-z0-9_]*)= ]]; then
                        name=
                        [[ $plain = *[\;\'\"]* ]] || name=${BASH_REMATCH[1]}
                elif [ -n "$name" ] && [[ $line = *"export $name;" ]]; then
                        __architect_fail 100 "(what it printed could not be evaluated: the value of $name contains a newline without quotes)"
                fi
        done <<<"$__architect_text"
}

# The commands of the text may fail, as those of a site's scripts do everywhere. But the text must be evaluated
# to its end, and all that stands in it itself, not in a script that it reads, must be commands. The words that
# a startup.py of EUPS prints are none.
__architect_run() {
        trap '[ $? -ne 127 ] || [ "${FUNCNAME[0]}" != __architect_run ] || __architect_unknown=1' ERR
        eval "$__architect_text"$'\n''__architect_complete=1'
}

# This is a function, so that a "set --" in the text does not change the arguments of the script. Descriptor 3
# is closed for it, because it belongs to the script.
__architect_evaluate() {
        local __architect_lines=$'\n'$__architect_text$'\n'
        # A provider reports a failure in this way, after its messages: Environment Modules in the first, EUPS
        # and Lmod in the second.
        [[ $__architect_lines != *$'\ntest 0 = 1;\n'* ]] || exit 100
        [[ $__architect_lines != *$'\nfalse'?(;)$'\n'* ]] || exit 99
        __architect_check_lines

        __architect_complete='' __architect_unknown=''
        trap '__architect_fail 100 "(what it printed could not be evaluated)"' EXIT
        __architect_run >&2 3>&-
        trap - EXIT ERR
        # The options of a shell that the text has changed.
        set +aefux
        if [ -z "$__architect_complete" ] || [ -n "$__architect_unknown" ]; then
                __architect_fail 100 "(what it printed could not be evaluated)"
        fi
}

# -- EUPS --

# EUPS exits with this status if it cannot take or release its lock: another set-up has removed the directory
# of the locks in this moment, or has made it as another user, or an administrator is declaring a product. So
# it runs again, until the timeout of the set-up at most; this limit is for a timeout that is longer, because a
# dead process may have left a lock.
__architect_locked=9
__architect_lock_seconds=120

# Waits for a moment of random length. Fails if the lock was not free for too long.
__architect_wait_for_lock() {
        [ $((SECONDS - $1)) -lt "$__architect_lock_seconds" ] && /bin/sleep "0.$((RANDOM % 400 + 100))" 3>&-
}

__architect_bootstrap_eups() {
        local __architect_since=$SECONDS __architect_status
        [ -n "${EUPS_DIR:-}" ] || __architect_fail 96 "EUPS cannot be found: EUPS_DIR is set neither in the environment that roles begin with nor in that of the role"
        [[ -e $EUPS_DIR/bin/eups_setup && -e $EUPS_DIR/bin/setups.sh ]] ||
                __architect_fail 96 "EUPS is not installed in EUPS_DIR, $EUPS_DIR: there is no bin/eups_setup and bin/setups.sh"
        while :; do
                # The exit status of the provider is of no use, because it is 0 even if nothing has been done.
                . "$EUPS_DIR/bin/setups.sh" >&2 3>&-
                ! declare -F setup >/dev/null || return 0
                # The command that it has run, for its status. This time it may succeed.
                "$EUPS_DIR/bin/eups_setup" "DYLD_LIBRARY_PATH=${DYLD_LIBRARY_PATH:-}" eups -r "$EUPS_DIR" \
                        >/dev/null 2>&1 3>&-
                __architect_status=$?
                [ "$__architect_status" -eq 0 ] || [ "$__architect_status" -eq "$__architect_locked" ] || break
                __architect_wait_for_lock "$__architect_since" || break
        done
        __architect_fail 97 "EUPS could not be initialised by $EUPS_DIR/bin/setups.sh"
}

# The arguments are PRODUCT [VERSION] [ARGUMENT...]. EUPS prints "false" with status 0 if it has not found a
# product.
__architect_setup_eups() {
        local __architect_since=$SECONDS __architect_status
        while :; do
                "$EUPS_DIR/bin/eups_setup" "DYLD_LIBRARY_PATH=${DYLD_LIBRARY_PATH:-}" "$@" >|/proc/self/fd/3 3>&-
                __architect_status=$?
                [ "$__architect_status" -eq "$__architect_locked" ] || break
                __architect_wait_for_lock "$__architect_since" || break
        done
        __architect_text=$(</proc/self/fd/3)
        [ "$__architect_status" -eq 0 ] || exit 98
        # Without a product, or with --help, EUPS prints nothing and has done nothing.
        [ -n "$__architect_text" ] || __architect_fail 99 "EUPS has set up nothing"
        __architect_evaluate
        __architect_note "$1" "$1 ${2:-}"
}

# A product is found as "PRODUCT VERSION".
__architect_find_eups() {
        local variable=SETUP_${1^^} words IFS=$' \t\n'
        [[ $variable != *[!A-Z0-9_]* ]] || return 0
        read -ra words <<<"${!variable:-}"
        __architect_found=${words[*]:0:2}
}

# -- modules --

# A module is found by its full name, by the part of it before a slash, or by another name of it, which
# Environment Modules lists.
__architect_find_modules() {
        local entry name
        local -a entries names
        IFS=: read -ra entries <<<"${LOADEDMODULES:-}"
        for entry in "${entries[@]}"; do
                [[ $entry != "$1" && $entry != "$1/"* ]] || { __architect_found=$entry && return; }
        done
        IFS=: read -ra entries <<<"${__MODULES_LMALTNAME:-}"
        for entry in "${entries[@]}"; do
                IFS='&' read -ra names <<<"$entry"
                for name in "${names[@]:1}"; do
                        name=${name##*|}
                        [[ $name != "$1" && $name != "$1/"* ]] || { __architect_found=${names[0]} && return; }
                done
        done
}

# Lmod unloads a module if another one of its family is loaded. LMOD_FAMILY_X and LMOD_FAMILY_X_VERSION name
# the loaded one of family X. This notes the variable of each module.
declare -A __architect_families=()
__architect_note_families() {
        local variable
        __architect_families=()
        for variable in "${!LMOD_FAMILY_@}"; do
                [[ $variable = *_VERSION || -z ${!variable} ]] || __architect_families[${!variable}]=$variable
        done
}

__architect_find_family() {
        local variable=${__architect_families[$1]:-} version
        [[ -n $variable && -n ${!variable:-} && ${!variable} != "$1" ]] || return 0
        version=${variable}_VERSION
        __architect_found=${!variable}${!version:+/${!version}}
}

# Takes one NAME in each call, because with several names Environment Modules would load those before an
# invalid one.
__architect_setup_modules() {
        local __architect_name=$1 __architect_before=${LOADEDMODULES:-} __architect_status
        __architect_note_families
        "$__architect_command" bash load "$__architect_name" >|/proc/self/fd/3 3>&-
        __architect_status=$?
        __architect_text=$(</proc/self/fd/3)
        [ "$__architect_status" -eq 0 ] || exit 98
        __architect_evaluate

        __architect_find "$__architect_name"
        # Lmod does not list other names of a module, so there at least one module must have been loaded.
        if [ -z "$__architect_found" ]; then
                [ "${LOADEDMODULES:-}" != "$__architect_before" ] ||
                        __architect_fail 99 "$__architect_provider says nothing, but has not loaded $__architect_name"
                __architect_name=${LOADEDMODULES##*:}
        elif [[ $__architect_found != "$__architect_name/"* ]]; then
                __architect_name=$__architect_found
        fi
        __architect_note "$__architect_name" "$__architect_name"
}

# -- all products --

# Of each product: the name by which it is found, what was found after its set-up, whether the caller has named
# the version, and what has replaced it since then.
__architect_names=() __architect_founds=() __architect_fixed=() __architect_losses=()

__architect_find() {
        __architect_found=
        "__architect_find_$__architect_kind" "$1"
}

# Returns whether product number $1 is still set up. If the caller has not named a version, each one will do.
__architect_is_set_up() {
        __architect_find "${__architect_names[$1]}"
        if [ -n "${__architect_fixed[$1]}" ]; then
                [ "$__architect_found" = "${__architect_founds[$1]}" ]
        else
                [ -n "$__architect_found" ]
        fi
}

# Describes what has replaced product number $1 in the set-up of $2.
__architect_describe_loss() {
        local found=${__architect_founds[$1]}
        if [ "$__architect_kind" = modules ]; then
                __architect_find "${found%/*}"
                [ -n "$__architect_found" ] || __architect_find_family "${found%/*}"
        fi
        if [ -z "$__architect_found" ]; then
                __architect_losses[$1]="the set-up of $2 has removed it"
        elif [ "$__architect_found" = "$2" ]; then
                __architect_losses[$1]="$2 has replaced it"
        else
                __architect_losses[$1]="$__architect_found has replaced it in the set-up of $2"
        fi
}

# Notes a product that has been set up, and those that its set-up has removed. $2 is what is found if the
# version is the one that the caller has named.
__architect_note() {
        local i n=${#__architect_names[@]} by
        __architect_find "$1"
        by=${__architect_found:-$1}
        __architect_names[n]=$1 __architect_founds[n]=$__architect_found __architect_losses[n]=
        [ "$__architect_found" = "$2" ] && __architect_fixed[n]=1 || __architect_fixed[n]=

        for ((i = 0; i < n; i++)); do
                # An argument of setup may have prevented that it is found.
                [ -n "${__architect_founds[i]}" ] || continue
                if __architect_is_set_up "$i"; then
                        __architect_losses[i]=
                elif [ -z "${__architect_losses[i]}" ]; then
                        __architect_describe_loss "$i" "$by"
                fi
        done
}

__architect_provider=$1 __architect_command=$2
shift 2
case $__architect_provider in
eups)   __architect_kind=eups
        __architect_bootstrap_eups ;;
modules|lmod)
        __architect_kind=modules
        [ -x "$__architect_command" ] ||
                __architect_fail 96 "$__architect_provider is not installed: there is no program $__architect_command" ;;
*)      __architect_fail 96 "there is no provider $__architect_provider" ;;
esac

__architect_all=''
while [ $# -gt 0 ]; do
        __architect_n=$1
        shift
        printf '\0' >&2
        "__architect_setup_$__architect_kind" "${@:1:__architect_n}"
        shift "$__architect_n"
        [ $# -gt 0 ] || __architect_all=1
done
# Some errors of bash, such as more nested functions than FUNCNEST allows, end the loop, but not the script.
[ -n "$__architect_all" ] || __architect_fail 100 "(its set-up was not completed)"

# A product that has been replaced was requested all the same, and a role without it would fail later, or
# compute something else.
printf '\0' >&2
for __architect_n in "${!__architect_losses[@]}"; do
        [ -z "${__architect_losses[__architect_n]}" ] ||
                __architect_fail 99 "${__architect_founds[__architect_n]} is not set up any more after the set-up of all products: ${__architect_losses[__architect_n]}"
done

# After a "set -a" in a text they would be part of the environment.
export -n "${!__architect_@}"
exec /usr/bin/env -0 >|/proc/self/fd/3 3>&-
