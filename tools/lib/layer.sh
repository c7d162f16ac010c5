# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The run-time packages of a sandbox. They are installed by apt over an overlay, in the sandbox's own mount namespace
# but with the machine's network, and what that changed is kept as a tar archive: later boots only unpack it.
# A tar and not a directory, because an overlay takes no lower layer that lies inside another one of its layers.

SANDBOX_CACHE=${XDG_CACHE_HOME:-/var/cache}/architect-node-sandbox
# What a sandbox needs to be a machine at all; both buses are always there, the boot chooses one.
LAYER_BASE="systemd systemd-sysv libpam-systemd dbus dbus-user-session dbus-broker polkitd iproute2 procps"
LAYER_KEEP=6

# The archive's name says all that it depends on.
layer_key() {
        local lower=$1 packages=$2
        {
                tr ' ' '\n' <<<"$LAYER_BASE $packages" | sort -u
                cat "$lower/var/lib/dpkg/status" "${BASH_SOURCE[0]}"
        } | sha256sum | cut -c1-32
}

# Make sure the archive exists and print its path. Runs in the holder, before it takes its own network.
# $1 lower root, $2 packages, $3 scratch directory on a tmpfs
layer_get() {
        local lower=$1 packages=$2 scratch=$3 archive lock
        mkdir -p "$SANDBOX_CACHE"
        archive=$SANDBOX_CACHE/$(layer_key "$lower" "$packages").tar
        exec {lock}>"$SANDBOX_CACHE/lock"
        flock "$lock"
        if [ ! -s "$archive" ]; then
                rm -f -- "$SANDBOX_CACHE"/*.tmp
                layer_build "$lower" "$packages" "$scratch" "$archive.tmp" {lock}>&- || return 1
                mv -- "$archive.tmp" "$archive"
                # Old ones go; the newest few stay for switching between package lists and machine states.
                find "$SANDBOX_CACHE" -maxdepth 1 -name '*.tar' -printf '%T@ %p\n' | sort -rn | tail -n +$((LAYER_KEEP + 1)) |
                        cut -d' ' -f2- | xargs -r -d '\n' rm -f --
        else
                touch -- "$archive"
        fi
        exec {lock}>&-
        printf '%s\n' "$archive"
}

layer_missing() {
        local root=$1 name
        shift
        for name; do
                # shellcheck disable=SC2016     # for dpkg-query to expand
                chroot "$root" dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || printf '%s ' "$name"
        done
}

layer_build() {
        local lower=$1 packages=$2 scratch=$3 output=$4 root missing word install="" beside=""
        for word in $packages; do
                case $word in
                beside:*)       beside+=" ${word#*:}" ;;
                *)              install+=" $word" ;;
                esac
        done
        root=$scratch/root
        mkdir -p "$scratch"/{upper,work,root}
        mount -t overlay -o "lowerdir=$lower,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$root"
        mount --rbind /dev "$root/dev"
        # shellcheck disable=SC2086     # package lists are words
        missing=$(layer_missing "$root" $LAYER_BASE $install)

        # Names are resolved as out here; no maintainer script may start a service.
        rm -f "$root/etc/resolv.conf"
        cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null || true
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod 755 "$root/usr/sbin/policy-rc.d"

        if [ -n "$missing" ]; then
                echo "sandbox: installing inside the sandbox only: $missing" >&2
                # shellcheck disable=SC2086
                layer_apt "$root" -y --no-install-recommends install $missing || { umount -R "$root"; return 1; }
        fi
        for word in $beside; do
                layer_unpack "$root" "$word" || { umount -R "$root"; return 1; }
        done
        layer_user "$root" 1001 alice
        layer_user "$root" 1002 bob
        mkdir -p "$root/var/lib/systemd/linger"
        : >"$root/var/lib/systemd/linger/alice"

        rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf"
        umount -R "$root"
        # Package lists and archives are large and of no use inside.
        rm -rf "$scratch"/upper/var/{cache/apt,lib/apt/lists,log/apt} "$scratch"/upper/usr/share/{doc,man,info}
        tar -C "$scratch/upper" --xattrs --xattrs-include='*' -cf "$output" .
        rm -rf "$scratch"
}

layer_unpack() {
        local root=$1 name=$2
        mkdir -p "$root/opt/$name"
        layer_apt "$root" download "$name" || return 1
        # shellcheck disable=SC2016     # for the inner shell to expand
        chroot "$root" sh -c 'dpkg -x /var/tmp/"$1"_*.deb "/opt/$1" && rm /var/tmp/"$1"_*.deb' sh "$name"
}

# layer_apt ROOT WORD...: apt-get with these words. What it downloads for us comes into /var/tmp.
layer_apt() {
        local root=$1 try args log=$1/../apt.log
        shift
        for try in first update again; do
                # A pid namespace of its own: whatever a maintainer script leaves behind ends with it.
                args=(update)
                [ "$try" = update ] || args=("$@")
                # shellcheck disable=SC2016     # for the inner shell to expand
                unshare --pid --fork --kill-child -- chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
                        sh -c 'mount -t proc proc /proc
                               cd /var/tmp
                               apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io "$@"' sh "${args[@]}" \
                        >"$log" 2>&1 </dev/null && { [ "$try" = update ] || return 0; }
                # The first try fails where the package lists are old or missing: only then they are fetched.
        done
        cat "$log" >&2
        return 1
}

layer_user() {
        local root=$1 uid=$2 name=$3
        chroot "$root" getent passwd "$name" >/dev/null && return 0
        if chroot "$root" getent passwd "$uid" >/dev/null; then
                chroot "$root" useradd -m -s /bin/bash "$name"
        else
                chroot "$root" useradd -m -s /bin/bash -u "$uid" "$name"
        fi
}
