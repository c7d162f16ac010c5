#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A newline in the value of a variable that a modulefile sets makes the shell run the rest of the value as a
# command.
#
# Software: Environment Modules 5.2.0-1, Tcl 8.6.13+dfsg-2.
#
# Expected: modulecmd prints commands for the shell that evaluates them, and escapes what has a meaning there.
# Blanks, quotes, $, backticks, ; and & in a value arrive as they are. So does a newline, as a value of one
# variable, or modulecmd fails.
#
# Seen: each special character is escaped with a backslash, but a newline is printed as it is, and ends the
# assignment. The rest of the value is the next command, with its blanks escaped, so that it is one word: the path
# of a program. The variable has the first line only. modulecmd reports success, and so does the shell.
#
# Output:
#
#   modulecmd: status 0
#   NOTE=first
#   ./run\ me; export NOTE;
#   NOTE is "first", and the program has run
#
# The exit status is 0 if the behaviour is as described, 1 if it has changed, 2 if the script could not run. The
# machine provides apt, dpkg and bash.

set -euo pipefail

PACKAGES=(environment-modules=5.2.0-1 tcl8.6=8.6.13+dfsg-2 libtcl8.6=8.6.13+dfsg-2)

cannot_run() {
	echo "$1" >&2
	exit 2
}

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT

cd "$directory"
apt-get -qq download "${PACKAGES[@]}" 2>apt.log ||
	cannot_run "The packages ${PACKAGES[*]} could not be downloaded: $(cat apt.log)"
for package in *.deb; do
	dpkg -x "$package" root
done
libraries=$(echo "$directory"/root/usr/lib/*-linux-gnu*)

mkdir modules
cat >modules/note <<'END'
#%Module1.0
setenv NOTE "first\n./run me"
END
cat >'run me' <<'END'
#!/bin/sh
touch has-run
END
chmod +x 'run me'

status=0
text=$(MODULEPATH=$directory/modules LD_LIBRARY_PATH=$libraries TCL_LIBRARY=$directory/root/usr/share/tcltk/tcl8.6 \
	root/usr/bin/tclsh8.6 "$libraries/modulecmd.tcl" bash load note 2>modules.log) || status=$?
[ -n "$text" ] || cannot_run "modulecmd printed nothing: $(cat modules.log)"
echo "modulecmd: status $status"
grep -A1 '^NOTE=' <<<"$text" || true

unset NOTE
eval "$text"
if [ -e has-run ]; then
	echo "NOTE is \"$NOTE\", and the program has run"
	[ "$status" -eq 0 ] && [ "$NOTE" = first ] && exit 0
fi
echo "The behaviour has changed." >&2
exit 1
