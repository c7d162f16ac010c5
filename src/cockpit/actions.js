/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What can be done to roles: the buttons, whether they may be pressed, the questions before, and the calls. */

/* global cockpit */

import * as words from "./words.js";
import { architectctl } from "./bus.js";
import { make, field, setText, openDialog, alertError, say } from "./ui.js";

const ALIVE_EVERY_MS = 1000;
const MAY_NOT = "You may not do this without administrative access.";
/* For a role of a lease, of which a box was ticked. */
const FORCE = { force: { t: "b", v: true } };

/* verb → its name, and when it makes sense */
export const VERBS = {
    start: { label: "Start", when: role => role.State === "ended", why: "It runs." },
    stop: {
        label: "Stop",
        when: role => role.State !== "ended" || !!role.NextStartUSec || !!role.ControlGroup || !!role.Ready,
        why: "It has ended.",
    },
    kill: {
        label: "Kill",
        when: role => role.State !== "ended" || !!role.NextStartUSec || !!role.ControlGroup,
        why: "It has ended.",
    },
    restart: {
        label: "Restart",
        when: role => !!role.Definition,
        why: "It was started with a command, and the service does not tell all options that it was started with.",
    },
    freeze: {
        label: "Freeze", when: role => role.State === "running" && !role.Frozen, why: "It does not run, or is frozen already.",
    },
    thaw: { label: "Thaw", when: role => role.State !== "ended" && role.Frozen, why: "It is not frozen." },
    purge: {
        label: "Purge", when: role => role.State === "ended" && !role.NextStartUSec, why: "Only a role that has ended can be forgotten.",
    },
    terminal: {
        label: "Terminal", when: role => role.Stdin === "pty" && role.State !== "ended", why: "It has no terminal, or has ended.",
    },
};

export class Actions {
    constructor(page) {
        this.page = page;
    }

    /* -- rights -- */

    right(verb, role) {
        const { rights } = this.page;

        if (verb === "start")
            return role.Definition ? rights.may("start-defined-role") : rights.may("start-role");
        if (verb === "restart") {
            const [start, manage] = [rights.may("start-defined-role"), rights.manage(role)];
            return [start, manage].includes("no") ? "no" : [start, manage].includes("auth") ? "auth" : start && manage;
        }
        return rights.manage(role);
    }

    /* Greys a button, and says in its title why. */
    grey(button, role) {
        const verb = button.dataset.action;
        const right = this.right(verb, role);
        const possible = VERBS[verb].when(role);
        const disabled = !possible || right === null || right === "no";
        const title = !possible ? VERBS[verb].why
            : right === "no" ? MAY_NOT
                : right === "auth" ? "Needs a password." : "";

        if (button.disabled !== disabled)
            button.disabled = disabled;
        if (button.title !== title)
            button.title = title;
        button.dataset.right = right ?? "";
    }

    greyGeneral(button, action) {
        const right = this.page.rights.may(action);

        button.disabled = !this.page.node.ready || right === null || right === "no";
        button.title = button.disabled && right === "no" ? MAY_NOT : "";
        button.dataset.right = right ?? "";
    }

    /* -- administrative access -- */

    /* Returns whether the user has it now. */
    async unlock() {
        try {
            return await this.page.superuser.start((message, prompt, echo, error) => new Promise(resolve => {
                const input = make("input", { type: echo ? "text" : "password", autocomplete: "off", required: true });
                let answer = null;
                openDialog({
                    name: "superuser",
                    title: "Administrative access",
                    body: [
                        message ? make("p", {}, message) : "",
                        field(prompt || "Password", input),
                        error ? make("div", { class: "alert", role: "alert" }, error) : "",
                    ],
                    confirm: "Authenticate",
                    confirmed: async () => { answer = input.value },
                    closed: () => resolve(answer),
                });
            }));
        } catch (error) {
            alertError(error.message);
            return false;
        }
    }

    /* With the right "auth" a password comes first. What waits for it goes on as soon as there is a connection with
     * the new rights. */
    async permitted(button) {
        if (button?.dataset.right !== "auth" || !this.page.superuser.available)
            return true;
        return await this.unlock() && await this.page.whenReady();
    }

    /* -- verbs -- */

    async run(verb, role, button) {
        if (!await this.permitted(button))
            return;
        /* The connection, and with it the role, may be another one now. */
        const now = this.page.node.byName.get(role.Name);
        if (!now) {
            alertError(`There is no role "${role.Name}" any more.`);
            return;
        }
        try {
            await this[verb](now);
        } catch (error) {
            alertError(error.message);
        }
    }

    async start(role) {
        if (!role.Definition) {
            this.startCommand(role);
            return;
        }
        say(`Starting ${role.Name}.`);
        await this.page.node.call("Start", "sasa{sv}", [role.Name, [], {}]);
        say(`${role.Name} is started.`);
    }

    freeze(role) {
        return this.freezeOrThaw(role, "Freeze", "is frozen");
    }

    thaw(role) {
        return this.freezeOrThaw(role, "Thaw", "runs on");
    }

    /* Undone as easily, so nothing is asked, unless somebody else decides about the role. */
    async freezeOrThaw(role, method, done) {
        const { node } = this.page;
        const call = async () => {
            if (role.Lease)
                await node.call(`${method}WithOptions`, "sa{sv}", [role.Name, FORCE]);
            else
                await node.call(method, "s", [role.Name]);
            say(`${role.Name} ${done}.`);
        };

        if (role.Lease || role.ManagedBy)
            openDialog({
                name: method.toLowerCase(), title: `${method} ${role.Name}?`, body: this.managed(role), confirm: method,
                danger: true, confirmed: call,
            });
        else
            await call();
    }

    /* What somebody else decides about. Returns the parts of a dialog, of which a box must be ticked. */
    managed(role) {
        if (!role.ManagedBy && !role.Lease)
            return [];
        const text = role.ManagedBy ? `"${role.Name}" is managed by ${role.ManagedBy}, which decides whether it runs, and ` +
            "may undo this." : `"${role.Name}" belongs to lease "${role.Lease}", and who holds that decides about it.`;
        const box = make("input", { type: "checkbox", required: true, id: "dialog-force" });
        return [make("p", { class: "warning" }, text), make("div", { class: "check" }, box,
            make("label", { for: "dialog-force" }, "Do it all the same"))];
    }

    stop(role) {
        this.end(role, "Stop", `Its processes receive ${words.signalName(role.StopSignal ?? 15)}, and SIGKILL after ` +
            `${words.span(role.StopTimeoutUSec)}.`);
    }

    kill(role) {
        this.end(role, "Kill", "All of its processes receive SIGKILL at once. What they were doing is lost.");
    }

    /* Asks, and then shows who is still alive until nobody is. */
    end(role, method, text) {
        const alive = make("div", { class: "alive", "aria-live": "polite", "data-alive": true });
        let open = true;
        const dialog = openDialog({
            name: method.toLowerCase(),
            title: `${method} ${role.Name}?`,
            body: [make("p", {}, text), ...this.managed(role), alive],
            confirm: method,
            danger: true,
            closed: () => { open = false },
            confirmed: async () => {
                dialog.cancelButton.textContent = "Go on in the background";
                const watch = this.watchAlive(role, alive);
                const call = role.Lease
                    ? this.page.node.call(`${method}Many`, "asa{sv}", [[role.Name], FORCE])
                        .then(([[[, error, message]]]) => { if (error) throw new Error(message) })
                    : this.page.node.call(method, "s", [role.Name]);
                try {
                    await call;
                    say(`${role.Name} has ended, and no process of it is left.`);
                } catch (error) {
                    if (open)
                        throw error;
                    alertError(error.message);
                } finally {
                    clearInterval(watch);
                    dialog.cancelButton.textContent = "Close";
                }
            },
        });
    }

    /* The processes of its control group, as the kernel has them. */
    watchAlive(role, place) {
        const script = 'find "/sys/fs/cgroup$1" "/sys/fs/cgroup/systemd$1" "/sys/fs/cgroup/unified$1" -name cgroup.procs ' +
            '-exec cat {} + 2>/dev/null | sort -nu | head -n 21 | while read -r pid; do ' +
            'read -r comm <"/proc/$pid/comm" && printf "%s %s\\n" "$pid" "$comm"; done 2>/dev/null';
        const look = async () => {
            if (!role.ControlGroup)
                return;
            const text = await cockpit.spawn(["sh", "-c", script, "sh", role.ControlGroup], { err: "ignore" }).catch(() => "");
            const lines = text.split("\n").filter(line => line);
            const shown = lines.length === 0 ? "" : `Still alive: ${lines.slice(0, 20).join(", ")}${lines.length > 20 ? " ..." : ""}`;
            setText(place, shown);
        };

        look();
        return setInterval(look, ALIVE_EVERY_MS);
    }

    /* architectctl does it, which also starts again what depends on the role. */
    restart(role) {
        const force = role.ManagedBy || role.Lease ? ["--force"] : [];

        openDialog({
            name: "restart",
            title: `Restart ${role.Name}?`,
            body: [make("p", {}, "It is stopped, and started again as its definition says now. So are the roles that are " +
                "stopped because they depend on it."), ...this.managed(role)],
            confirm: "Restart",
            danger: true,
            confirmed: async () => {
                say(`Restarting ${role.Name}.`);
                await cockpit.spawn(architectctl(this.page.instance, "--no-ask-password", "restart", ...force, role.Name),
                    { superuser: "try", err: "message" });
                say(`${role.Name} is started again.`);
            },
        });
    }

    purge(role) {
        openDialog({
            name: "purge",
            title: `Purge ${role.Name}?`,
            body: [make("p", {}, "The service forgets the role and how it has ended. Its log and its events stay."),
                ...this.managed(role)],
            confirm: "Purge",
            danger: true,
            confirmed: async () => {
                if (role.Lease)
                    await this.page.node.call("PurgeWithOptions", "asa{sv}", [[role.Name], FORCE]);
                else
                    await this.page.node.call("Purge", "as", [[role.Name]]);
                say(`${role.Name} is purged.`);
            },
        });
    }

    /* -- new roles -- */

    async startDefinition() {
        const { node } = this.page;
        let definitions;

        try {
            [definitions] = await node.call("ListDefinitions", "", []);
        } catch (error) {
            alertError(error.message);
            return;
        }
        const select = make("select", { required: true, name: "definition" });
        const about = make("p", { class: "help" });
        const texts = new Map();
        for (const [name, file, groups, details] of definitions) {
            const role = node.byName.get(name);
            const runs = role && role.State !== "ended";
            const refused = details.error?.v;
            select.append(make("option", { value: name, disabled: !!(runs || refused) },
                name + (refused ? " (refused)" : runs ? ` (${role.State})` : "")));
            texts.set(name, [refused ? `refused: ${refused}` : details.description?.v ?? "", file,
                groups.length ? `groups: ${groups.join(" ")}` : ""].filter(t => t).join(" \u2013 "));
        }
        const update = () => { about.textContent = texts.get(select.value) ?? "" };
        select.addEventListener("change", update);
        const first = [...select.options].findIndex(o => !o.disabled);
        select.selectedIndex = first;
        update();
        openDialog({
            name: "start-definition",
            title: "Start a definition",
            body: definitions.length === 0
                ? [make("p", {}, "There are no definitions. architect-node.role(5) describes role files.")]
                : first < 0 ? [make("p", {}, "All roles that have a definition run.")]
                    : [field("Role", select), about],
            confirm: first < 0 ? null : "Start",
            confirmed: async () => {
                await node.call("Start", "sasa{sv}", [select.value, [], {}]);
                say(`${select.value} is started.`);
            },
        });
    }

    /* role: whose command is to be started again. */
    startCommand(role) {
        const { node } = this.page;
        const name = make("input", {
            name: "role", required: true, maxlength: 64, pattern: "[A-Za-z0-9][A-Za-z0-9_.\\-]*", autocomplete: "off",
            spellcheck: "false", value: role?.Name ?? "",
        });
        const line = make("input", {
            name: "command", required: true, autocomplete: "off", spellcheck: "false",
            value: role?.Command ? words.command(role.Command) : "",
        });
        const user = make("input", { name: "user", autocomplete: "off", spellcheck: "false", value: role?.User ?? "" });
        const directory = make("input", {
            name: "directory", autocomplete: "off", spellcheck: "false", pattern: "/.*", value: role?.WorkingDirectory ?? "",
        });
        const input = make("select", { name: "stdin" },
            make("option", { value: "pipe" }, "pipe"), make("option", { value: "pty" }, "pty (a terminal)"),
            make("option", { value: "null" }, "null"));

        if (role?.Stdin)
            input.value = role.Stdin;
        openDialog({
            name: "start-command",
            title: "Start a command",
            body: [
                field("Role", name, "Up to 64 letters, digits, _ . and -, the first one a letter or a digit."),
                field("Command", line, "No shell is involved: ~ and $ are not expanded. Quotes keep words together."),
                field("User", user, "Empty: the one that you are."),
                field("Working directory", directory, "Empty: /."),
                field("Standard input", input),
                role ? make("p", { class: "help" }, "The service does not tell the other options that it was started with.") : "",
            ],
            confirm: "Start",
            confirmed: async () => {
                const argv = words.words(line.value);
                if (!argv || argv.length === 0)
                    throw new Error("A quote of the command is not closed.");
                const options = { stdin: { t: "s", v: input.value } };
                if (user.value)
                    options.user = { t: "s", v: user.value };
                if (directory.value)
                    options["working-directory"] = { t: "s", v: directory.value };
                await node.call("Start", "sasa{sv}", [name.value, argv, options]);
                say(`${name.value} is started.`);
            },
        });
    }
}
