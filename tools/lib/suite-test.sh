# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Builds in the root of another Debian release, with its compiler and libraries, runs the unit tests there, and
# runs the system cases with its systemd.

# suite_enter ROOT sets SUITE_ENTER to the words that run a command in the root, with the source and the build
# directory at their places. What the command writes elsewhere is in an overlay and lost.
suite_enter() {
        # shellcheck disable=SC2016     # for the inner shell to expand
        SUITE_ENTER=(unshare --mount --pid --fork --kill-child --propagation private -- bash -c '
                set -e
                root=$1 source=$2 build=$3
                shift 3
                mount -t tmpfs tmpfs /mnt
                mkdir /mnt/upper /mnt/work /mnt/root
                mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
                for dir in /dev /sys "$source" "$build"; do
                        mkdir -p "/mnt/root$dir"
                        mount --rbind "$dir" "/mnt/root$dir"
                done
                mount -t proc proc /mnt/root/proc
                # This shell is PID 1 there and reaps what others leave; their zombies would count as tasks.
                chroot /mnt/root /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root "$@" || exit $?
                exit 0' \
                suite "$1" "$SOURCE" "$BUILD")
}

# suite_root SUITE prints the root, which it makes if it does not exist.
suite_root() {
        local packages
        mapfile -t packages < <("$TOOLS/deps" build --list)
        # The lists of unstable are valid for a week. An old mirror is no reason not to build.
        "$TOOLS/debian-root" --ignore-expiry "$1" build "${packages[@]}" systemd-dev qtbase5-dev-tools golang-go golang-dbus-dev
}

# suite_build SUITE builds there, and runs the unit and bus tests.
suite_build() {
        local root dir=$BUILD/suite-$1
        root=$(suite_root "$1") || return 1
        suite_enter "$root"
        # shellcheck disable=SC2034     # for meson_tests
        local MESON=("${SUITE_ENTER[@]}" meson)
        rm -rf -- "$dir-dest"
        # shellcheck disable=SC2016
        "${SUITE_ENTER[@]}" bash -c '
                cd "$1" && . tools/lib/build.sh && SOURCE=$1 && meson_build "$2" -Dwerror=true -Dman=false && meson_destdir "$2" "$2-dest"' \
                bash "$SOURCE" "$dir" && meson_tests "$dir" unit bus
}

# suite_cases SUITE LABEL runs the system cases with what was built.
suite_cases() {
        local root
        root=$(suite_root "$1") || return 1
        system_tests "$2" "$BUILD/suite-$1" daemon unified "--root=$root" "--packages=libglib2.0-0t64 libcmocka0"
}
