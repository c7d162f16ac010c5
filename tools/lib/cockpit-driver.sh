# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# What drives the browser in tests/cockpit: the packages of npm that its package-lock.json names, with their
# checksums. They are fetched once and kept beside the other packages of the sandbox.

# cockpit_driver prints the directory that has node_modules. npm of Debian is nearly 400 packages, which no test
# needs, so it is installed over an overlay of this machine and lost, unless the machine has an npm already. The
# registry is the one that npm is set up for; the lock file has no address. No script of a package is run. npm has
# certificates of its own, to which those that the machine trusts are added.
cockpit_driver() {
        local certificates=/etc/ssl/certs/ca-certificates.crt
        [ ! -e "$certificates" ] || local -x NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$certificates}
        local from=$SOURCE/tests/cockpit cache=${XDG_CACHE_HOME:-/var/cache}/architect-node-sandbox key dir lock
        key=$(cat "$from/package.json" "$from/package-lock.json" "${BASH_SOURCE[0]}" | sha256sum | cut -c1-32)
        dir=$cache/npm-$key
        mkdir -p "$cache"
        exec {lock}>"$cache/npm.lock"
        flock "$lock"
        if [ ! -d "$dir" ]; then
                rm -rf -- "$cache"/npm-*
                mkdir "$dir.tmp"
                cp -- "$from/package.json" "$from/package-lock.json" "$dir.tmp"
                # shellcheck disable=SC2016     # for the inner shell to expand
                unshare --mount --propagation private -- bash -euo pipefail -c '
                        . "$1/layer.sh"
                        root=/mnt/root
                        mount -t tmpfs tmpfs /mnt
                        layer_mount / /mnt
                        chroot "$root" sh -c "command -v npm" >/dev/null ||
                                layer_apt "$root" -y --no-install-recommends install npm
                        mkdir -p "$root$2"
                        mount --bind "$2" "$root$2"
                        chroot "$root" sh -euc "cd \"\$1\" && npm ci --ignore-scripts --no-audit --no-fund" sh "$2"' \
                        bash "$TOOLS/lib" "$dir.tmp" >"$dir.tmp/log" 2>&1 {lock}>&- </dev/null || {
                        cat "$dir.tmp/log" >&2
                        warn "npm could not fetch what $from/package-lock.json names"
                        return 1
                }
                mv -- "$dir.tmp" "$dir"
        fi
        exec {lock}>&-
        printf '%s\n' "$dir"
}
