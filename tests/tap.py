# SPDX-License-Identifier: LGPL-2.1-or-later
"""The output of the tests in Python, for the protocol "tap" of meson."""


def report(results):
    """Print (name, problems) of each test. Return the exit status."""
    print(f"1..{len(results)}")
    for number, (name, problems) in enumerate(results, 1):
        print(f"{'not ok' if problems else 'ok'} {number} - {name}")
        for problem in problems:
            print(f"# {problem}")
    return any(problems for _, problems in results)
