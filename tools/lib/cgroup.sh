# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# cgroups of the sandboxes, as seen from outside. The name of a hierarchy is "unified" (cgroup2), its v1
# controllers ("memory", "cpu,cpuacct") or "systemd" (the v1 hierarchy without a controller).

# The controllers for which a hybrid sandbox exists.
CGROUP_V1_NEEDED="memory pids cpu cpuacct"

# Lists all v1 hierarchies in which a hybrid sandbox must have a cgroup, one a line, which are all of the
# machine. systemd mounts each controller that the kernel knows; in a hierarchy that was left out it would see
# and change the cgroups of the machine.
cgroup_v1_hierarchies() {
        echo systemd
        awk -v needed=" $CGROUP_V1_NEEDED " '
                /^#/ || $4 != 1 { next }
                $2 != 0         { all[$2] = all[$2] (all[$2] ? "," : "") $1; next }
                index(needed, " " $1 " ")       { print $1 }
                END             { for (id in all) print all[id] }' /proc/cgroups
}

# The maximum of processes and threads in a sandbox, unless boot has --tasks=. With it a fork bomb in a
# sandbox does not harm the machine.
# shellcheck disable=SC2034     # used by the scripts that read this file
CGROUP_TASKS=6000

# The v1 hierarchy that can enforce it, if there is one.
cgroup_v1_pids() {
        awk '$1 == "pids" && $2 != 0 && $4 == 1 { found = 1 } END { exit !found }' /proc/cgroups || return 0
        cgroup_v1_hierarchies | grep -E '(^|,)pids(,|$)' || true
}

# Prints where this hierarchy is mounted completely and writable.
cgroup_mount_point() {
        local hier=$1 mnt_root mnt_point opts rest type super
        while read -r _ _ _ mnt_root mnt_point opts rest; do
                [[ $mnt_root = / && ,$opts, = *,rw,* ]] || continue
                rest=${rest#*- }
                read -r type _ super <<<"$rest"
                case $hier:$type in
                unified:cgroup2)   printf '%s\n' "$mnt_point"; return 0 ;;
                unified:*|*:cgroup2) continue ;;
                systemd:cgroup)    [[ ,$super, = *,name=systemd,* ]] || continue ;;
                *:cgroup)          [[ ,$super, = *,$hier,* ]] || continue ;;
                *)                 continue ;;
                esac
                printf '%s\n' "$mnt_point"
                return 0
        done </proc/self/mountinfo
        return 1
}

# Prints the full path of PATH in a hierarchy; the recorded form is "HIERARCHY PATH".
cgroup_dir() {
        local mnt
        mnt=$(cgroup_mount_point "$1") || return 1
        printf '%s%s\n' "$mnt" "$2"
}

# Creates a cgroup and prepares it and those above it for processes, because a new cpuset has no CPU and no
# memory.
cgroup_make() {
        local dir=$1 file
        mkdir -p "$dir"
        for file in cpuset.cpus cpuset.mems; do
                [ -e "$dir/$file" ] || continue
                [ -n "$(<"$dir/$file")" ] || cat "${dir%/*}/$file" >"$dir/$file"
                echo 1 >"$dir/cgroup.clone_children"
        done
}

cgroup_empty() {
        grep -qx 'populated 0' "$1/cgroup.events" 2>/dev/null || [ ! -d "$1" ]
}

cgroup_try_remove() {
        [ -d "$1" ] || return 0
        # Depth first. The caller tries again to remove those that are still busy.
        find "$1" -depth -type d -exec rmdir -- {} + 2>/dev/null || true
        [ ! -d "$1" ]
}

cgroup_signal_kill() {
        { echo 1 >"$1/cgroup.kill"; } 2>/dev/null
}

# Ends every process in a cgroup2 and below it, at once and without a race, and removes it.
cgroup_kill() {
        local dir=$1
        [ -d "$dir" ] || return 0
        cgroup_signal_kill "$dir" || return 1
        wait_until 100 cgroup_empty "$dir" || return 1
        wait_until 20 cgroup_try_remove "$dir"
}

# Runs a command with a limit of processes and threads, if the machine has a pids controller.
cgroup_limited() {
        local tasks=$1 hier dir code=0
        shift
        if systemd_is_pid1; then
                systemd-run --scope --quiet --collect -p Delegate=yes -p TasksMax="$tasks" -- "$@"
                return
        fi
        hier=$(cgroup_v1_pids)
        dir=${hier:+$(cgroup_dir "$hier" "/architect-test-$BASHPID")}
        if [ -z "$dir" ]; then
                "$@"
                return
        fi
        cgroup_make "$dir"
        echo "$tasks" >"$dir/pids.max"
        (echo 0 >"$dir/cgroup.procs" && exec "$@") || code=$?
        # Otherwise it contains a process that a test has left. One that was killed may need a moment to go.
        wait_until 100 cgroup_try_remove "$dir" || {
                warn "processes were left: $(xargs -r ps -o pid=,ppid=,stat=,args= -p <"$dir/cgroup.procs")"
                code=1
        }
        return "$code"
}
