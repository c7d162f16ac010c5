# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The run-time packages of a sandbox. apt installs them over an overlay, in the mount namespace of the sandbox
# but with the network of the machine. The changed files are kept as a tar archive, which later boots only
# unpack. It is an archive instead of a directory, because an overlay accepts no lower layer that is inside
# another one of its layers.

SANDBOX_CACHE=${XDG_CACHE_HOME:-/var/cache}/architect-node-sandbox
# The packages that a sandbox needs to be a machine. Both buses are always installed, and the boot selects
# one.
LAYER_BASE="systemd systemd-sysv libpam-systemd dbus dbus-user-session dbus-broker polkitd iproute2 procps"
LAYER_KEEP=8

# The name of the archive contains everything that it depends on.
layer_key() {
        local lower=$1 packages=$2
        {
                tr ' ' '\n' <<<"$LAYER_BASE $packages" | sort -u
                cat "$lower/var/lib/dpkg/status" "${BASH_SOURCE[0]}"
        } | sha256sum | cut -c1-32
}

# Creates the archive if it does not exist, and prints its path. Runs in the holder, before it unshares its
# network.
# $1 is the lower root, $2 the packages, $3 a scratch directory on a tmpfs.
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
                # Old archives are removed. Some of the newest stay, for changes between package lists and
                # machine states.
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

# layer_mount LOWER SCRATCH makes SCRATCH/root, what is below with an overlay, in which apt can install.
layer_mount() {
        local root=$2/root
        mkdir -p "$2"/{upper,work,root}
        mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" overlay "$root"
        mount --rbind /dev "$root/dev"

        # Names are resolved as outside. No maintainer script may start a service.
        rm -f "$root/etc/resolv.conf"
        cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null || true
        printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
        chmod 755 "$root/usr/sbin/policy-rc.d"
}

layer_build() {
        local lower=$1 packages=$2 scratch=$3 output=$4 root=$3/root missing word install="" beside=""
        for word in $packages; do
                case $word in
                beside:*)       beside+=" ${word#*:}" ;;
                *)              install+=" $word" ;;
                esac
        done
        layer_mount "$lower" "$scratch"
        # shellcheck disable=SC2086     # package lists are words
        missing=$(layer_missing "$root" $LAYER_BASE $install)
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
        # Package lists and archives are large and of no use inside, and so is the database that a package makes.
        rm -rf "$scratch"/upper/var/{cache/apt,lib/apt/lists,log/apt,lib/postgresql} "$scratch"/upper/usr/share/{doc,man,info}
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

# layer_apt ROOT WORD... runs apt-get with these words. Its downloads are stored in /var/tmp.
layer_apt() {
        local root=$1 try args log=$1/../apt.log
        shift
        for try in first update again; do
                # The PID namespace ends all processes that a maintainer script leaves behind.
                args=(update)
                [ "$try" = update ] || args=("$@")
                # shellcheck disable=SC2016     # for the inner shell to expand
                unshare --pid --fork --kill-child -- chroot "$root" /usr/bin/env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \
                        sh -c 'mount -t proc proc /proc
                               cd /var/tmp
                               apt-get -qq -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io "$@"' sh "${args[@]}" \
                        >"$log" 2>&1 </dev/null && { [ "$try" = update ] || return 0; }
                # The first attempt fails if the package lists are old or missing. Only then they are
                # downloaded.
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
