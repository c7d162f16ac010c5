# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# All tools use these functions for messages, and to check whether a recorded process is still the same.

say()  { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die()  { warn "$@"; exit 1; }

need_root() {
        [ "$(id -u)" -eq 0 ] || die "must be run as root"
}

# A PID alone is not enough, because it is used again. With the start time and the boot ID of the kernel it
# identifies one process for ever. This triple is recorded before any process may be signalled.
proc_id() {
        local stat boot
        { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
        stat=${stat##*) }               # the name before it may contain spaces and parentheses
        # shellcheck disable=SC2086     # split on purpose: field 3 (the state) is $1, field 22 (the start) is $20
        set -- "$1" $stat
        case $2 in Z|X) return 1 ;; esac
        boot=$(</proc/sys/kernel/random/boot_id)
        printf '%s %s %s\n' "$1" "${21}" "$boot"
}

# Returns whether the process whose proc_id is in this file (or string) still exists.
proc_is() {
        local recorded=$1 now
        [ -n "$recorded" ] || return 1
        now=$(proc_id "${recorded%% *}") || return 1
        [ "$now" = "$recorded" ]
}

read_file() {
        local _text=""
        { _text=$(<"$1"); } 2>/dev/null || true
        printf '%s' "$_text"
}

# Waits until a command succeeds, at most N tenths of a second. For conditions that no event reports.
wait_until() {
        local tenths=$1 i
        shift
        for ((i = 0; i < tenths * 5; i++)); do
                "$@" && return 0
                sleep 0.02
        done
        "$@"
}

# True in a system whose PID 1 is systemd (sd_booted(3)), to which the cgroups belong.
systemd_is_pid1() {
        [ -d /run/systemd/system ] && [ "$(read_file /proc/1/comm)" = systemd ]
}
