# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Makes an archive of a release, builds packages of it and of a newer version, and installs, upgrades, removes and
# purges them on a Debian 12 and a Debian 13. tools/lib/package-inside is the part that runs there.

# package_tests STAGE
package_tests() {
        local stage=$1 dir=$BUILD/packages passed=0 failed=0
        rm -rf -- "$dir" "${LOGS:?}/$stage"
        mkdir -p "$dir" "$LOGS/$stage"
        export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@localhost GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@localhost

        package_step release package_release "$dir"
        package_step refused package_refused "$dir"
        # Without network, which also shows that the archive is whole.
        package_step build unshare --net -- "$dir/unpacked/tools/package" deb "--output=$dir/1"
        package_step build-newer package_newer "$dir"
        package_step lintian package_lintian "$dir/1"
        package_step rpm package_rpm "$dir"
        package_step appstream appstreamcli validate --no-net "$SOURCE/data/org.architect.Node.metainfo.xml" \
                "$SOURCE/src/cockpit/org.architect.Cockpit.metainfo.xml"
        package_step desktop desktop-file-validate "$SOURCE/src/cockpit/org.architect.Cockpit.desktop"
        package_machine bookworm daemon "$dir" --packages="needrestart libmosquitto1 pacemaker pacemaker-cli-utils cockpit-bridge dunst"
        package_machine trixie broker "$dir" --packages="needrestart libglib2.0-0t64 libsmartcols1 libmosquitto1 pacemaker pacemaker-cli-utils cockpit-bridge dunst" "--root=$("$TOOLS/debian-root" trixie)"
        count "$passed" "$failed"
}

# package_step NAME COMMAND... is one test.
package_step() {
        local name=$1 start=$EPOCHREALTIME log=$LOGS/$stage/$1.log
        shift
        if "$@" >"$log" 2>&1 </dev/null; then
                passed=$((passed + 1))
                printf 'ok      %s (%s s)\n' "$name" "$(since "$start")"
        else
                failed=$((failed + 1))
                printf 'FAILED  %s (%s s): %s\n' "$name" "$(since "$start")" "$log"
                tail -n 60 "$log" | sed 's/^/        | /'
                return 1
        fi
}

# package_clone DIR makes a repository of the tree as it is now, with a section of CHANGELOG.md that has a date.
package_clone() {
        tree_copy "$1" && sed -i '0,/^\(## \[.*\] - \).*/s//\12026-12-31/' "$1/CHANGELOG.md" &&
                git init --quiet "$1" && package_commit "$1"
}

package_commit() {
        git -C "$1" add --all --force && git -C "$1" commit --quiet --message=test --date=2026-12-31T12:00:00Z
}

# Two people make the archive on machines with other settings.
package_release() {
        local dir=$1
        package_clone "$dir/clone" && git clone --quiet "$dir/clone" "$dir/other" && git -C "$dir/other" config tar.umask 0077 || return 1
        (cd / && umask 077 && TZ=Pacific/Auckland LC_ALL=C XZ_OPT=--check=crc32 "$dir/other/tools/release" "--output=$dir/release-2") &&
                "$dir/clone/tools/release" "--output=$dir/release" || return 1
        cmp "$dir"/release/*.tar.xz "$dir"/release-2/*.tar.xz || return 1
        mkdir "$dir/unpacked" && tar -C "$dir/unpacked" --strip-components=1 -xf "$dir"/release/*.tar.xz
}

# refuses DIR TEXT [WORD...]: tools/release fails there, says this, and makes no archive.
refuses() {
        local text=$2 said
        said=$("$1/tools/release" "--output=$1.refused" "${@:3}" 2>&1) && { echo "a release was made, but should be refused with '$text'"; return 1; }
        [[ $said = *"$text"* ]] || { printf 'it should say: %s\nbut says: %s\n' "$text" "$said"; return 1; }
        [ -z "$(ls "$1.refused" 2>/dev/null)" ] || { echo "something is left in $1.refused"; return 1; }
}

package_refused() {
        local clone=$1/refused bad=0
        git clone --quiet "$1/clone" "$clone" || return 1
        refuses "$clone" "the release is to be 9.9.9, but the tree has version" 9.9.9 || bad=1
        echo >>"$clone/README.md"
        refuses "$clone" "README.md" || bad=1
        package_changed "$clone" meson.build "s/^  version: .*/  version: '9.9.9',/" "has version 9.9.9, but the newest section of CHANGELOG.md" || bad=1
        package_changed "$clone" CHANGELOG.md '0,/^## \[.*/s//## [9.9.9] - 2026-12-31/' "but the newest section of CHANGELOG.md has 9.9.9" || bad=1
        package_changed "$clone" CHANGELOG.md '0,/^\(## \[.*\] - \).*/s//\1unreleased/' "'unreleased' instead of the date" || bad=1
        package_changed "$clone" packaging/debian/changelog '1s/(.*)/(9.9.9-1)/' "packaging/debian/changelog has 9.9.9" || bad=1
        package_changed "$clone" packaging/rpm/architect-node.spec 's/^Version:.*/Version: 9.9.9/' "architect-node.spec has 9.9.9" || bad=1
        return "$bad"
}

# package_changed CLONE FILE EDIT TEXT: with this change the release is refused with this text.
package_changed() {
        git -C "$1" reset --quiet --hard origin/HEAD && sed -i "$3" "$1/$2" && package_commit "$1" && refuses "$1" "$4"
}

package_newer() {
        local tree=$1/newer
        cp -a "$1/unpacked" "$tree" || return 1
        sed -i "s/^  version: .*/  version: '99.0.0',/" "$tree/meson.build"
        sed -i '1s/(.*)/(99.0.0-1)/' "$tree/packaging/debian/changelog"
        DEB_BUILD_OPTIONS="nocheck noopt" "$tree/tools/package" deb "--output=$1/2"
}

package_lintian() {
        lintian --fail-on=error,warning --tag-display-limit=0 "$1"/*.changes
}

# A Debian has neither the packages nor the macros that a spec may want, but the tools.
package_rpm() {
        local top=$1/rpm
        mkdir -p "$top/SOURCES" && cp "$1"/release/*.tar.xz "$SOURCE/packaging/managers.sh" "$top/SOURCES" &&
                rpmbuild -bb --nodeps --define "_topdir $top" --define "optflags -O0 -g" "$SOURCE/packaging/rpm/architect-node.spec"
}

# package_machine SUITE BUS DIR BOOT-OPTION... takes the packages through their life on one machine.
package_machine() {
        local suite=$1 bus=$2 dir=$3 name=test-$$-$stage-$1 step
        shift 3
        package_step "$suite-boot" "$TOOLS/sandbox" boot "$name" "--bus=$bus" "--owner=$$" "--tasks=$TEST_TASKS" "--bind-ro=$dir" "$@" || return
        for step in install upgrade downgrade needrestart remove purge; do
                # A step builds upon the one before.
                package_step "$suite-$step" "$TOOLS/sandbox" exec "$name" -- bash -c "$(<"$TOOLS/lib/package-inside")" package-inside "$dir" "$step" || break
        done
        [ "$failed" -eq 0 ] || "$TOOLS/sandbox" exec "$name" -- journalctl --no-pager -q >"$LOGS/$stage/$suite-journal.log" 2>&1 </dev/null
        "$TOOLS/sandbox" stop "$name"
}
