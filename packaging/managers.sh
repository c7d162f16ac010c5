# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=sh disable=SC2030,SC2031    # each has its own $manager, on purpose
#
# Functions of the scripts that dpkg and rpm run at an upgrade and a removal. Each acts on one systemd, $manager.

# Calls a function for every systemd that may run architect-node: that of the machine, and those of the users who are
# there.
for_each_manager() {
        {
                echo --system
                systemctl list-units --plain --no-legend --state=running 'user@*.service' |
                        sed -n 's/^user@\([0-9]*\)\.service .*/--user --machine=\1@/p'
        } | while read -r manager; do
                "$@"
        done
}

# systemctl. A user can keep his systemd from answering, and the package manager must not wait for it.
ctl() {
        if [ "$manager" = --system ]; then
                systemctl "$@" </dev/null
        else
                # shellcheck disable=SC2086     # two words
                timeout 60 systemctl $manager "$@" </dev/null
        fi
}

# Prints which of the units that match are active.
units() {
        ctl list-units --plain --no-legend --state=active,activating,reloading,deactivating "$@" | cut -d' ' -f1
}

whose() {
        case $manager in
        --system)       echo "the machine" ;;
        *)              id -nu "$(echo "$manager" | tr -cd 0-9)" ;;
        esac
}

# The keepers execute the new program as the same processes, and keep all roles. Nothing restarts them.
reload_keepers() {
        refused=""
        for unit in $(units 'architect-keeper.service' 'architect-keeper@*.service'); do
                ctl reload "$unit" || refused="$refused $unit"
        done
}

# A restart ends no role either.
restart_nodes() {
        for unit in $(units 'architect-node.service' 'architect-node@*.service'); do
                ctl restart "$unit" || echo "architect-node: $unit of $(whose) was not restarted; its roles run on"
        done
}

# After another version was installed.
renew() {
        ctl daemon-reload || return 0
        reload_keepers
        restart_nodes
        # An older keeper does not replace one that speaks a newer protocol with its node, until that is the older one.
        [ -z "$refused" ] || reload_keepers
        [ -z "$refused" ] || echo "architect-node:$refused of $(whose) runs on as before, and so do its roles"
}

# stop WHAT UNIT... says so, and does.
stop() {
        what=$1
        shift
        [ $# -gt 0 ] || return 0
        echo "architect-node: stopping $what of $(whose): $*"
        ctl stop "$@" || true
}

# Before a removal: the services stop their roles, in the order of their dependencies, while all files are there.
stop_all() {
        roles=$(units 'architect-*.scope')
        # shellcheck disable=SC2086     # names of units
        [ -z "$roles" ] || echo "architect-node: these roles of $(whose) are stopped:" $roles
        # shellcheck disable=SC2046
        stop "the services" $(units 'architect-node.service' 'architect-node@*.service')
}

# Whether no process is left in a slice, where somebody else may have put a unit. The hierarchy is where systemd has it.
idle() {
        group=$(ctl show -P ControlGroup "$1")
        [ -z "$group" ] || ! find "/sys/fs/cgroup$group" "/sys/fs/cgroup/unified$group" "/sys/fs/cgroup/systemd$group" \
                -name cgroup.procs -exec cat '{}' + 2>/dev/null | grep -q .
}

# After a removal: the keepers, which refuse a stop while their units exist, what a call has started once more in
# between, and roles that had no service.
stop_rest() {
        ctl daemon-reload || return 0
        # shellcheck disable=SC2046     # names of units
        stop "what is left" $(units 'architect-node.service' 'architect-node@*.service' 'architect-*.scope' \
                'architect-keeper.s*' 'architect-keeper@*.s*')
        ! idle architect.slice || ctl stop architect.slice || true
        # Only a pattern may match nothing.
        ctl reset-failed 'architect-node.s*' 'architect-node@*.s*' 'architect-*.scope' \
                'architect-keeper.s*' 'architect-keeper@*.s*' || true
}

# The state of the services, of the machine and of all users, which ends with them.
remove_state() {
        for directory in /run /run/user/*; do
                rm -rf "$directory/architect-keeper" "$directory/architect-node" \
                        "$directory/architect-notify" "$directory/architect-terminal"
        done
}

# The bus looks for new files by itself, and dpkg tells it at its end, but both may be after the service has started.
reload_bus() {
        busctl --quiet call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig || true
}
