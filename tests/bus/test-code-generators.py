#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Code generators take the interface documents as they are.

usage: test-code-generators.py GDBUS-CODEGEN QDBUSXML2CPP INTERFACE.XML...
"""

import re
import shutil
import subprocess
import sys
import tempfile
import xml.dom.minidom
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import tap  # noqa: E402

PACKAGES = {"gdbus-codegen": "libglib2.0-dev-bin", "qdbusxml2cpp": "qtbase5-dev-tools"}


def run(program, *args):
    """The program's messages; a program that is missing fails the test."""
    if not shutil.which(program):
        package = PACKAGES.get(Path(program).name, "")
        return [f"{program} is not installed (Debian: {package}; tools/deps test installs it)"]
    done = subprocess.run([program, *args], capture_output=True, text=True, check=False)
    problems = (done.stdout + done.stderr).splitlines()
    return problems + ([f"exit status {done.returncode}"] if done.returncode else [])


def methods(document):
    for method in xml.dom.minidom.parse(document).getElementsByTagName("method"):
        yield method.getAttribute("name"), [
            (arg.getAttribute("name"), arg.getAttribute("type"))
            for arg in method.getElementsByTagName("arg")
        ]


def snake_case(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def gdbus(program, documents, directory):
    """Functions for methods with descriptors take and return them, or they could not be used."""
    base = f"{directory}/generated"
    problems = run(
        program, f"--generate-c-code={base}", "--interface-prefix=org.architect.", *documents
    )
    if problems:
        return problems
    header, n = Path(f"{base}.h").read_text(), 0
    for document in documents:
        object_name = Path(document).stem.removeprefix("org.architect.").lower().replace(".", "_")
        for name, args in methods(document):
            function = f"{object_name}_call_{snake_case(name)}_sync"
            found = re.search(rf"gboolean {function} \(([^)]*)\)", header)
            if not found:
                problems.append(f"there is no {function}()")
            elif any("h" in kind for _, kind in args):
                n += 1
                if "GUnixFDList **out_fd_list" not in found[1]:
                    problems.append(f"{function}() returns no descriptors")
    return problems or ([] if n else ["no method has a descriptor"])


def qt(program, document, directory):
    base = f"{directory}/{Path(document).stem}"
    problems = run(program, "-i", "architect-types.h", "-p", base, document)
    if not problems:
        header = Path(f"{base}.h").read_text()
        problems = [f"there is no {name}()" for name, _ in methods(document) if f" {name}(" not in header]
    return problems


def names(document):
    """One name for two arguments of a method: dbus-c++ makes a C++ function of both."""
    return [
        f"{name} has two arguments of the same name"
        for name, args in methods(document)
        if len({arg for arg, _ in args}) != len(args)
    ]


def main():
    gdbus_codegen, qdbusxml2cpp, *documents = sys.argv[1:]
    results = []
    with tempfile.TemporaryDirectory() as directory:
        results.append(("gdbus-codegen", gdbus(gdbus_codegen, documents, directory)))
        for document in documents:
            name = Path(document).name
            results.append((f"qdbusxml2cpp {name}", qt(qdbusxml2cpp, document, directory)))
            results.append((f"arguments of {name}", names(document)))
    return tap.report(results)


if __name__ == "__main__":
    sys.exit(main())
