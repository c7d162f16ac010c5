#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists that are written twice are the same.

usage: test-lists.py SOURCE

SOURCE is the top of the source tree. The program has the first list of each pair; nothing but this
test compares it with the second one, in a catalog, a man page, an interface document, the Python
class or the bus policy.
"""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import tap  # noqa: E402

FREEDESKTOP = "org.freedesktop.DBus.Error."
NODE = "org.architect.Node.Error."


class Source:
    def __init__(self, top):
        self.top = Path(top)

    def text(self, path):
        return (self.top / path).read_text(encoding="utf-8")

    def xml(self, path):
        return ElementTree.fromstring(self.text(path))


def differences(what, expected, found):
    """Why the two lists do not have the same elements, in sentences."""
    assert expected, f"no list to compare {what} with"
    return (
        [f"{what} lacks {key}" for key in expected if key not in found]
        + [f"{what} has {key}, which the program has not" for key in found if key not in expected]
        + [f"{what} has {key} twice" for key in sorted(set(found)) if list(found).count(key) > 1]
    )


# MESSAGE_ID=


def message_ids(source):
    """{"MESSAGE_ROLE_STARTED": "7e51...", ...}"""
    return dict(re.findall(r'^#define (MESSAGE_\w+) "([0-9a-f]{32})"$', source.text("src/model/message-ids.h"), re.M))


def check_catalog(source):
    catalog = source.text("data/architect-node.catalog")
    problems = differences(
        "the catalog", message_ids(source).values(), re.findall(r"^-- ([0-9a-f]{32})$", catalog, re.M)
    )
    for entry in re.split(r"^-- ", catalog, flags=re.M)[1:]:
        for part in (r"^Subject: \S", r"^Defined-By: architect-node$", r"\n\n\S"):
            if not re.search(part, entry, re.M):
                problems.append(f"the catalog has no {part!r} for {entry[:32]}")
    return problems


def check_message_man(source):
    found = [
        member.text
        for member in source.xml("data/man/architect-node.8.xml").iterfind(".//member/literal")
        if re.fullmatch("[0-9a-f]{32}", member.text)
    ]
    return differences("architect-node(8)", message_ids(source).values(), found)


def check_message_case(source):
    case = source.text("tests/system/cases/logging.c")
    found = re.search(r"\bids\[\] = \{(.*?)\};", case, re.S)[1]
    return differences("test_catalog() of the case logging", message_ids(source), re.findall(r"MESSAGE_\w+", found))


# Errors


def node_errors(source):
    """The names on the bus."""
    lines = re.findall(
        r'^ *X\(\w+,[\s\\]+(NODE_ERROR_PREFIX )?"([\w.]+)",[\s\\]+E\w+\)', source.text("src/proto/node-errors.h"), re.M
    )
    return [(NODE if prefix else "") + name for prefix, name in lines]


def interface_comments(source):
    return [
        " ".join(comment.split())
        for path in ("org.architect.Node.xml", "org.architect.Node.Role.xml")
        for comment in re.findall(r"<!--(.*?)-->", source.text("dbus-interfaces/" + path), re.S)
    ]


def check_errors_described(source):
    words = set(re.findall(r"\w+", " ".join(interface_comments(source))))
    return [f"no interface document names {name}" for name in node_errors(source) if name.split(".")[-1] not in words]


def check_errors_exist(source):
    """Each "Fails with A; B (why); the errors of C." names errors of the program."""
    known = node_errors(source) + [name.split(".")[-1] for name in node_errors(source)]
    problems, n = [], 0
    for comment in interface_comments(source):
        for sentence in re.findall(r"\bFails with (.*?)\.(?:\s|$)", re.sub(r"\([^()]*\)", "", comment)):
            for item in sentence.split(";"):
                name = item.split()[0]
                n += 1
                if (name[0].isupper() or "." in name) and name not in known:
                    problems.append(f"an interface document names the error {name}, which the program has not")
    assert n > 20
    return problems


def python_errors(source):
    """The names on the bus, by the names of the classes."""
    errors = {}
    for node in ast.parse(source.text("examples/architectnode.py")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("_error("):
            name = node.value.args[0].value
            keywords = {keyword.arg: keyword.value.value for keyword in node.value.keywords}
            assert ast.unparse(node.targets[0]) == name, name
            errors[name] = keywords.get("prefix", NODE) + keywords.get("dbus", name)
    return errors


def check_errors_python(source):
    # What the bus returns in the place of the node.
    bus = [FREEDESKTOP + name for name in ("ServiceUnknown", "NoReply")]
    return differences("architectnode.py", node_errors(source) + bus, list(python_errors(source).values()))


def check_errors_case(source):
    case = source.text("tests/system/cases/python.py")
    found = re.search(r"def test_every_error_has_a_class.*?for name in \((.*?)\)\.split\(\)", case, re.S)[1]
    expected = [name.removeprefix(NODE) for name in node_errors(source) if name.startswith(NODE)]
    return differences("test_every_error_has_a_class() of the case python", expected, re.findall(r"\w+", found))


# architectctl


def ctl_table(source):
    """The name, the arguments and the options of each verb, as the help has them."""
    table = re.search(r"ctl_verbs\[\] = \{(.*?)\n\};", source.text("src/ctl/verbs.c"), re.S)[1]
    verbs = {}
    for name, entry in re.findall(r'^        \{ "([\w-]+)", verb_\w+,(.*?)(?=^        \{ "|\Z)', table, re.M | re.S):
        options = "".join(re.findall(r'"([^"]*)"', entry.partition(".options =")[2]))
        verbs[name] = (re.search(r'"([^"]*)"', entry)[1], re.findall(r"--[a-z][\w-]*", options))
    return verbs


def check_verbs_declared(source):
    found = re.findall(r"\bverb_(\w+)\(", source.text("src/ctl/verb.h"))
    verbs = [verb.replace("-", "_") for verb in ctl_table(source)]
    return [f"ctl_verbs lacks {verb}" for verb in found if verb not in verbs]


def man_verbs(source):
    """The text of the entry of each verb in architectctl(1)."""
    sections = source.xml("data/man/architectctl.1.xml").iterfind("refsect1")
    verbs = next(section for section in sections if section.findtext("title") == "Verbs")
    found = {}
    for entry in verbs.iter("varlistentry"):
        for term in entry.iterfind("term/command"):
            found.setdefault(term.text, "".join(entry.itertext()))
    return found


def check_verbs_man(source):
    return differences("the verbs of architectctl(1)", list(ctl_table(source)), list(man_verbs(source)))


def check_verbs_options(source):
    return [
        f"architectctl(1): {verb} does not describe {option}"
        for verb, text in man_verbs(source).items()
        for option in dict.fromkeys(ctl_table(source).get(verb, ("", []))[1])
        if not re.search(re.escape(option) + r"(?![\w-])", text)
    ]


# Rights


def bus_functions(source):
    """The body of each function of the room bus."""
    functions = {}
    for path in sorted((source.top / "src/bus").glob("*.c")):
        text = path.read_text(encoding="utf-8")
        for name, body in re.findall(r"^[a-zA-Z][^;{}#]*?\b(\w+)\([^;{}]*\) \{\n(.*?)^\}$", text, re.M | re.S):
            functions[name] = body
    return functions


def reaches(functions, name, target, seen):
    """Whether the function calls the other one, or passes on a function that does."""
    if name == target:
        return True
    seen.add(name)
    return any(
        reaches(functions, word, target, seen)
        for word in re.findall(r"\w+", functions.get(name, ""))
        if word not in seen and (word in functions or word == target)
    )


# The methods that every user may call. All others ask polkit or are root's.
READ = (
    "Poll ListRoles GetRole GetRoleByPID EventsSince ListLeases ListManaged ListPorts GetPgrp GetPermissions ListDefinitions GetDefinition"
).split()
ROOTS = "Reload StartMany".split()


def methods(source):
    """The handlers of the methods of the node and of its roles: {"Stop": ["node_method_stop", ...]}

    The private socket answers a method of the bus as well, which is none of the node."""
    functions = bus_functions(source)
    handlers = {}
    for path in sorted((source.top / "src/bus").glob("*.c")):
        text = path.read_text(encoding="utf-8")
        found = re.findall(
            r'SD_BUS_METHOD_WITH_ARGS\(\s*"(\w+)",.*?,\s*(node_method_\w+|\w+_method_\w+),\s*[A-Z]', text, re.S
        )
        assert len(found) == text.count("SD_BUS_METHOD"), path
        for name, handler in found:
            if name == "Hello" and path.name == "private.c":
                continue
            assert handler in functions, handler
            handlers.setdefault(name, []).append(handler)
    for interface in ("org.architect.Node.xml", "org.architect.Node.Role.xml"):
        document = source.xml("dbus-interfaces/" + interface)
        assert set(handlers) >= {method.get("name") for method in document.iterfind(".//method")}
    return handlers


def actions(functions, name, seen):
    """What the function and those that it calls or passes on ask polkit for."""
    seen.add(name)
    body = functions.get(name, "")
    found = set(re.findall(r"(?:\bNODE_ACTION_|\bREQUEST\()([A-Z_]+)", body))
    if "_NODE_ACTION_INVALID" in body:
        found.add("ROOT")
    for word in re.findall(r"\w+", body):
        if word in functions and word not in seen and not word.startswith("authority_"):
            found |= actions(functions, word, seen)
    return found - {"INVALID"}


def check_methods_ask(source):
    """A method is in the list of those that everybody may call, or each of its handlers asks."""
    functions = bus_functions(source)
    problems = []
    for name, handlers in methods(source).items():
        for handler in handlers:
            asks = reaches(functions, handler, "authority_check", set())
            if asks == (name in READ):
                what = "asks, and is" if asks else "neither asks nor is"
                problems.append(f"{handler}() {what} in the list of methods that read")
            if ("ROOT" in actions(functions, handler, set())) != (name in ROOTS):
                problems.append(f"{handler}() and the list of root's methods differ")
    return problems + [f"there is no method {name}" for name in READ + ROOTS if name not in methods(source)]


def node_actions(source):
    """{"MANAGE_OWN": "org.architect.node.manage-own", ...}"""
    table = re.search(r"node_action_table\[.*?\] = \{(.*?)\};", source.text("src/bus/authority-details.c"), re.S)[1]
    return dict(re.findall(r'\[NODE_ACTION_(\w+)\] = "([\w.-]+)"', table))


def check_polkit_policy(source):
    policy = source.xml("data/org.architect.node.policy")
    found = [action.get("id") for action in policy.iterfind("action")]
    problems = differences("the polkit policy", node_actions(source).values(), found)
    for action in policy.iterfind("action"):
        defaults = [f"defaults/allow_{session}" for session in ("any", "inactive", "active")]
        for part in ["description", "message", *defaults]:
            if not action.findtext(part):
                problems.append(f"the polkit policy has no {part} for {action.get('id')}")
    return problems


def check_polkit_man(source):
    found = [
        term.text
        for term in source.xml("data/man/architect-node.8.xml").iterfind(".//varlistentry/term/constant")
        if term.text.startswith("org.architect.node.")
    ]
    return differences("architect-node(8)", node_actions(source).values(), found)


def check_actions_described(source):
    """The text of a method of the node names the actions for which its handler asks."""
    functions, handlers, problems = bus_functions(source), methods(source), []
    names = node_actions(source)
    document = source.text("dbus-interfaces/org.architect.Node.xml")
    for comment, name in re.findall(r'<!--((?:(?!-->).)*?)-->\s*<method name="(\w+)"', document, re.S):
        asked = actions(functions, handlers[name][0], set()) - {"ROOT"}
        for handler in handlers[name]:
            if name not in READ:
                asked |= actions(functions, handler, set()) - {"ROOT"}
        if "MANAGE_ROLES" in asked:
            asked.add("MANAGE_OWN")
        expected = sorted(names[action].split(".")[-1] for action in asked) if name not in READ else []
        sentence = re.search(r"Its polkit actions? (?:is|are) ([^.]*)\.", " ".join(comment.split()))
        said = sorted(re.split(r", | and ", sentence[1])) if sentence else []
        if said != expected:
            problems.append(f"the text of {name} says {said}, but the handler asks for {expected}")
        if ("Only root may call it." in " ".join(comment.split())) != (name in ROOTS):
            problems.append(f"the text of {name} and the list of root's methods differ")
    return problems


def check_policy(source):
    """Everybody may call the interfaces of the service, as the service asks, but writes no property."""
    problems = []
    default = source.xml("data/org.architect.Node.conf").find("policy[@context='default']")
    interfaces = {
        "org.architect.Node": [None],
        "org.architect.Node.Role": [None],
        "org.freedesktop.DBus.Peer": [None],
        "org.freedesktop.DBus.Introspectable": [None],
        "org.freedesktop.DBus.ObjectManager": [None],
        "org.freedesktop.DBus.Properties": ["Get", "GetAll"],
    }
    expected = [f"{interface} {member}" for interface, members in interfaces.items() for member in members]
    for destination in ("org.architect.Node", "org.architect.NodeInstances"):
        found = [
            f"{rule.get('send_interface')} {rule.get('send_member')}"
            for rule in default.iterfind("allow")
            if rule.get("send_destination") == destination
        ]
        problems += differences(f"the bus policy for {destination}", expected, found)
    return problems


def check_read_calls(source):
    """What allowance.c takes for reading: what everybody may call, and the secrets that root reads."""
    found = re.findall(r'\{ NODE_INTERFACE, "(\w+)" \}', source.text("src/bus/allowance.c"))
    return differences("read_calls of allowance.c", READ + ["GetEnv", "ListEnv"], found)


def check_pkgconfig(source):
    """The names in the file for pkg-config, which are those of node-names.h."""
    found = dict(re.findall(r"^(\w+)=(.*)$", source.text("data/architect-node.pc.in"), re.M))
    names = dict(re.findall(r'#define (\w+) "(.*?)"', source.text("src/proto/node-names.h")))
    expected = {
        "bus_name": names["NODE_BUS_NAME"],
        "object_path": names["NODE_PATH"],
        "interface": names["NODE_INTERFACE"],
        "role_interface": names["NODE_ROLE_INTERFACE"],
    }
    return differences("architect-node.pc", expected.items(), [(key, found.get(key)) for key in expected])


# The resource agent


def check_agent_man(source):
    """Each parameter is in the man page of the agent, in the same order, with the same default."""
    metadata = ElementTree.fromstring(
        "".join(
            line.replace('\\"', '"').replace("\\n", "\n")
            for line in re.findall(r'^ +"(<.*|[^<].*)"[;]?$', source.text("src/cluster/role-metadata.c"), re.M)
        )
    )
    parameters = {item.get("name"): item.find("content").get("default") for item in metadata.iter("parameter")}
    section = next(
        section
        for section in source.xml("data/man/ocf_architect_role.7.xml").iter("refsect1")
        if section.findtext("title") == "Parameters"
    )
    items = {
        item.findtext("term/literal"): " ".join("".join(item.find("listitem").itertext()).split())
        for item in section.iter("varlistentry")
    }
    problems = differences("ocf_architect_role(7)", parameters, items)
    if not problems and list(parameters) != list(items):
        problems.append("ocf_architect_role(7) has the parameters in another order")
    return problems + [
        f"ocf_architect_role(7) does not say that {name} defaults to {default}"
        for name, default in parameters.items()
        if default and f"Defaults to {default}." not in items.get(name, "")
    ]


CHECKS = (
    check_catalog,
    check_message_man,
    check_message_case,
    check_errors_described,
    check_errors_exist,
    check_errors_python,
    check_errors_case,
    check_verbs_declared,
    check_verbs_man,
    check_verbs_options,
    check_methods_ask,
    check_actions_described,
    check_polkit_policy,
    check_polkit_man,
    check_policy,
    check_read_calls,
    check_pkgconfig,
    check_agent_man,
)


def main():
    source = Source(sys.argv[1])
    return tap.report([(check.__name__.removeprefix("check_"), check(source)) for check in CHECKS])


if __name__ == "__main__":
    sys.exit(main())
