# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Build directories.

# meson_setup DIR OPTION...: set up or bring up to date. CC and the like come from the environment.
meson_setup() {
        local dir=$1
        shift
        set -- -Dprefix=/usr "$@"
        if [ -e "$dir/build.ninja" ]; then
                # One made by an older meson.build or with other options may not take the new ones: then afresh.
                meson setup --reconfigure "$dir" "$SOURCE" "$@" || meson setup --wipe "$dir" "$SOURCE" "$@" || return 1
        else
                meson setup "$dir" "$SOURCE" "$@" || return 1
        fi
}

# The same, then build.
meson_build() {
        meson_setup "$@" || return 1
        # All that is wrong, not only the first.
        ninja -k 0 -C "$1"
}

# meson_destdir DIR DESTDIR [OPTION...]: a fresh tree as a package would have it.
meson_destdir() {
        rm -rf -- "$2"
        DESTDIR=$2 meson install -C "$1" --no-rebuild --quiet "${@:3}"
}
