# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Functions for the files of this tree, and the version that they name.

# The owner of the tree may be another user than root, who builds.
tree_git() { git -c safe.directory='*' -C "$SOURCE" "$@"; }

# Whether the tree is a clone, and not an unpacked archive that is inside the clone of something else.
tree_is_clone() {
        [ -e "$SOURCE/.git" ] && command -v git >/dev/null
}

# tree_copy DIR copies the files of the tree, as they are now, without what was built.
tree_copy() {
        mkdir -p "$1"
        if tree_is_clone; then
                # git still lists a file that was removed.
                comm -z -23 <(tree_git ls-files -z --cached --others --exclude-standard | sort -zu) \
                        <(tree_git ls-files -z --deleted | sort -zu) |
                        tar -C "$SOURCE" --null -T - -cf - | tar -C "$1" -xf - --no-same-owner
        else
                tar -C "$SOURCE" --exclude='./build*' --exclude=./.cache -cf - . | tar -C "$1" -xf - --no-same-owner
        fi
}

# What the places say that name the version, each of which has a file of its own.
tree_meson_version()     { sed -n "s/^  version: '\(.*\)',\$/\1/p" "$1" | head -n 1; }
tree_changelog_version() { sed -n 's/^## \[\(.*\)\].*/\1/p' "$1" | head -n 1; }
tree_debian_version()    { sed -n '1s/^architect-node (\([^)]*\)-[^-)]*) .*/\1/p' "$1"; }
tree_rpm_version()       { sed -n 's/^Version: *//p' "$1" | head -n 1; }
tree_changelog_date()    { sed -n 's/^## \[.*\] - \(.*\)$/\1/p' "$1" | head -n 1; }
