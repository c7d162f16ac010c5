#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lists of options and the texts are complete.

usage: test-option-lists.py LIST-OPTIONS ARCHITECTNODE.PY INTERFACE.XML...

LIST-OPTIONS prints the options as the program has them. The interface documents, of which the man
page is made, describe the same options with the same types, and describe every method, signal and
property. The Python class has the same types.
"""

import ast
import re
import subprocess
import sys
import xml.dom.minidom
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import tap  # noqa: E402

OPTION = re.compile(r"([a-z][a-z-]*) \(([a-z(){}]+)\)(, |: )")


def program_options(program):
    """{"Start": {"nice": "i", ...}, ...}"""
    output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    methods = {}
    for line in output.splitlines():
        method, option, kind = line.split(" ")
        methods.setdefault(method, {})[option] = kind
    return methods


def python_options(path):
    """OPTION_TYPES alone is evaluated: the module needs PyGObject."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "OPTION_TYPES":
            names = {}
            exec(compile(ast.Module([node], []), str(path), "exec"), names)
            return names["OPTION_TYPES"]
    raise SystemExit(f"{path} has no OPTION_TYPES")


def texts(path):
    """The comment before each method, signal and property, by its name; "" where there is none."""
    found = {}
    for interface in xml.dom.minidom.parse(str(path)).getElementsByTagName("interface"):
        comment = ""
        for child in interface.childNodes:
            if child.nodeType == child.COMMENT_NODE:
                comment = child.data
            elif child.nodeType == child.ELEMENT_NODE:
                name = child.getAttribute("name")
                start = re.match(rf"\s*{name}:\s*\S", comment)
                found[name] = comment if start else ""
                comment = ""
    return found


def documented_options(text):
    """The options with a paragraph that begins with "key (type): " or "key (type), key (type): "."""
    options = {}
    for paragraph in re.split(r"\n\s*\n", text):
        line, keys = " ".join(paragraph.split()), {}
        while match := OPTION.match(line):
            keys[match[1]] = match[2]
            line = line[match.end() :]
            if match[3] == ": ":
                options.update(keys if line else {})
                break
    return options


def differences(what, expected, found):
    """Why the two are not the same, in sentences."""
    return (
        [f"{what} lacks {key} ({expected[key]})" for key in expected if key not in found]
        + [f"{what} has {key}, which the program has not" for key in found if key not in expected]
        + [
            f"{what} has {key} with type {found[key]}, but the program with type {expected[key]}"
            for key in expected
            if key in found and found[key] != expected[key]
        ]
    )


def main():
    program, python, *documents = sys.argv[1:]
    options = program_options(program)
    documented = None
    results = []
    for document in documents:
        described = texts(Path(document))
        assert len(described) > 5, document
        missing = [f"{name} has no text" for name, text in described.items() if not text]
        results.append((f"{Path(document).name}: texts", missing))
        if "Start" in described:  # the role's methods refer to those of the node
            documented = described
    assert len(options["Start"]) > 20
    for method, expected in options.items():
        what = f"the documentation of {method}"
        results.append((what, differences(what, expected, documented_options(documented[method]))))
    types = python_options(Path(python))
    results.append(("OPTION_TYPES", differences(Path(python).name, options["Start"], types)))
    return tap.report(results)


if __name__ == "__main__":
    sys.exit(main())
