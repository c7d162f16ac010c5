# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The machine as we need it. A chroot or a container often has no /proc, no (writable) cgroup file system, and a root directory
# that is no mount point. What is missing is made in a mount namespace of our own, where nobody else sees it.

# For starting ourselves again: who reads this file has not changed its arguments yet.
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

# The arguments are the cgroup hierarchies that are needed. Either returns at once, or starts the program again in a mount
# namespace of its own and returns there. Returns 1 if a hierarchy cannot be had.
machine_prepare() {
        local hier
        machine_lacks "$@" || return 0
        # The variable holds a pid, because a child may lack what its parent did not need.
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

# Whether the v1 hierarchies for a hybrid sandbox can be had. Not where cgroup2 has taken the controllers, and not where the
# hierarchies belong to a systemd.
machine_has_hybrid() {
        ! systemd_is_pid1 || return 1
        [ -r /proc/cgroups ] || machine_prepare unified || return 1
        # shellcheck disable=SC2046     # a list of words
        machine_prepare unified $(cgroup_v1_hierarchies)
}

# For programs that boot several sandboxes: everything once, here, or each of them would have to.
machine_prepare_all() {
        machine_has_hybrid || machine_prepare unified || die "cannot mount a writable cgroup2 file system here"
}
