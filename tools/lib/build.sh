# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Functions for build directories.

# meson_setup DIR OPTION... sets up a build directory or updates it. CC and similar variables are taken from
# the environment.
meson_setup() {
        local dir=$1
        shift
        set -- -Dprefix=/usr "$@"
        if [ -e "$dir/build.ninja" ]; then
                # A directory of an older meson.build or of other options may refuse the new ones. Then it is
                # set up again.
                meson setup --reconfigure "$dir" "$SOURCE" "$@" || meson setup --wipe "$dir" "$SOURCE" "$@" || return 1
        else
                meson setup "$dir" "$SOURCE" "$@" || return 1
        fi
}

# The same, followed by a build.
meson_build() {
        meson_setup "$@" || return 1
        # All errors, not only the first.
        ninja -k 0 -C "$1"
}

# meson_destdir DIR DESTDIR [OPTION...] makes a fresh tree as a package would have it.
meson_destdir() {
        rm -rf -- "$2"
        DESTDIR=$2 meson install -C "$1" --no-rebuild --quiet "${@:3}"
}
