# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Prepares the machine. A chroot or a container often has no /proc, no (writable) cgroup file system, and a
# root directory that is no mount point. Missing parts are created in a mount namespace of this process, which
# others do not see.

# For the restart of the script, which has not changed its arguments yet when it reads this file.
MACHINE_SELF=$(readlink -f "$0")
MACHINE_ARGV=("$@")

machine_root_is_mount() {
        awk '$5 == "/" { found = 1 } END { exit !found }' /proc/self/mountinfo
}

machine_lacks() {
        local hier
        [ -r /proc/self/mountinfo ] && [ -d /sys/fs/cgroup ] && machine_root_is_mount || return 0
        for hier; do
                cgroup_mount_point "$hier" >/dev/null || return 0
        done
        return 1
}

# The arguments are the required cgroup hierarchies. Either returns at once, or starts the program again in a
# mount namespace of its own and returns there. Returns 1 if a hierarchy is not available.
machine_prepare() {
        local hier
        machine_lacks "$@" || return 0
        # The variable contains a PID, because a child may need what its parent did not.
        if [ "${MACHINE_OWN_NAMESPACE:-}" != $$ ]; then
                MACHINE_OWN_NAMESPACE=$$ exec unshare --mount --propagation unchanged -- "$MACHINE_SELF" "${MACHINE_ARGV[@]}"
        fi
        perl "$MACHINE_LIB/mountns.pl" private
        [ -r /proc/self/mountinfo ] || mount -t proc proc /proc
        if ! machine_root_is_mount; then
                local here=$PWD
                mount --rbind / /mnt
                cd /mnt || return 1
                exec perl "$MACHINE_LIB/mountns.pl" pivot "$here" "$MACHINE_SELF" "${MACHINE_ARGV[@]}"
        fi
        [ -d /sys/fs/cgroup ] || mount -t sysfs -o ro sysfs /sys
        umount -R -l /sys/fs/cgroup 2>/dev/null || true
        mount -t tmpfs -o mode=755,size=64k tmpfs /sys/fs/cgroup
        for hier; do
                mkdir "/sys/fs/cgroup/$hier"
                case $hier in
                unified) mount -t cgroup2 cgroup2 "/sys/fs/cgroup/$hier" ;;
                systemd) mount -t cgroup -o none,name=systemd cgroup "/sys/fs/cgroup/$hier" ;;
                *)       mount -t cgroup -o "$hier" cgroup "/sys/fs/cgroup/$hier" ;;
                esac 2>/dev/null || return 1
        done
}

# Returns whether the v1 hierarchies for a hybrid sandbox are available. They are not if cgroup2 uses the
# controllers, or if the hierarchies belong to a systemd.
machine_has_hybrid() {
        ! systemd_is_pid1 || return 1
        [ -r /proc/cgroups ] || machine_prepare unified || return 1
        # shellcheck disable=SC2046     # a list of words
        machine_prepare unified $(cgroup_v1_hierarchies)
}

# For programs that boot several sandboxes: prepares everything once, because otherwise each of them would
# have to.
machine_prepare_all() {
        machine_has_hybrid || machine_prepare unified || die "cannot mount a writable cgroup2 file system here"
}
