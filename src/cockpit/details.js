/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One role: what it is and what can be done to it, its log and its terminal beside each other. */

import * as words from "./words.js";
import { VERBS } from "./actions.js";
import { Log } from "./log.js";
import { Terminal } from "./terminal.js";
import { make, setText } from "./ui.js";

const BUTTONS = ["start", "stop", "restart", "kill", "freeze", "thaw", "purge", "terminal"];

function orDash(text) {
    return text === undefined || text === null || text === "" ? "-" : String(text);
}

/* Name, label, and what is shown for the role. Without a text the line is not there. */
function lines(role, { node, monitor }) {
    const now = node.now();
    const since = words.roleSince(role);
    const usage = role.State === "ended" ? null : role.usage;

    return [
        ["state", "State", words.roleState(role)],
        ["ready", "Ready", role.Ready ? "yes" : "no"],
        ["since", "Since", since ? `${words.timestamp(since)}; ${words.spanSeconds(Math.max(0, now - since))} ago` : "-"],
        ["exit", "Exit", words.roleEnd(role)],
        ["cause", "Cause", role.State === "ended" ? words.cause(role.Cause) : ""],
        ["result", "Result", role.State === "ended" && role.Result !== "success" ? role.Result : ""],
        ["next", "Next start", words.roleNext(role, now)],
        ["restarts", "Restarts", String(role.NRestarts ?? 0)],
        ["status", "Status", role.StatusText ? words.escape(role.StatusText) : ""],
        ["pid", "PID", orDash(role.MainPID || "")],
        ["user", "User", role.User || "root"],
        ["cpu", "CPU", words.percent(usage?.cpu)],
        ["memory", "Memory", usage ? words.size(usage.memory) : "-"],
        ["beat", "Beat", monitor.roleText(role)],
        ["command", "Command", words.command(role.Command ?? [])],
        ["product", "Product", role.Product ? `${role.Product} ${role.Version} (${role.Provider})` : ""],
        ["definition", "Definition", role.Definition],
        ["groups", "Groups", (role.RoleGroups ?? []).join(" ")],
        ["lease", "Lease", role.Lease],
        ["managed", "Managed by", role.ManagedBy],
        ["unit", "Unit", role.Scope],
        ["strays", "Strays", (role.Strays ?? []).join(" ")],
        ["warning", "Warning", [
            role.OutputLost ? "nothing of what it prints reaches the journal" : "",
            role.Damaged ? "its saved state was damaged, its options have their defaults" : "",
            role.NeedReload ? "its definition has changed since it was started" : "",
        ].filter(text => text).join("; ")],
    ];
}

export class DetailsView {
    constructor(page, name) {
        this.page = page;
        this.name = name;
        this.badge = make("span", { class: "badge" });
        this.buttons = BUTTONS.map(action => make("button", {
            type: "button", "data-action": action, class: action === "kill" || action === "purge" ? "danger-text" : null,
        }, VERBS[action].label));
        this.list = make("dl", { class: "properties" });
        this.note = make("p", { class: "empty", hidden: true });
        this.values = new Map();
        this.log = new Log(page, name);
        this.terminal = new Terminal(page, name);
        this.element = make("article", { "data-role": name, "aria-labelledby": "details-title" },
            make("a", { href: "#/roles", class: "back" }, "\u2190 All roles"),
            make("div", { class: "details-head" },
                make("h2", { id: "details-title" }, name), this.badge, make("div", { class: "details-buttons" }, ...this.buttons)),
            this.note, this.list, make("div", { class: "panes" }, this.log.element, this.terminal.element));
        this.show();
    }

    get role() {
        return this.page.node.byName.get(this.name);
    }

    show() {
        const { role } = this;

        this.note.hidden = !!role;
        this.list.hidden = this.badge.hidden = !role;
        for (const button of this.buttons)
            button.hidden = !role;
        this.terminal.update(role);
        this.terminal.element.hidden = role?.Stdin !== "pty";
        if (!role) {
            this.note.textContent = `There is no role "${this.name}" now.`;
            return;
        }
        this.badge.dataset.look = words.roleLook(role);
        setText(this.badge, words.roleState(role));
        this.updateRights();
        this.tick();
    }

    tick() {
        const { role } = this;

        if (!role)
            return;
        for (const [name, label, text] of lines(role, this.page)) {
            let entry = this.values.get(name);
            if (!entry) {
                const value = make("dd", { "data-field": name });
                entry = { value, row: make("div", {}, make("dt", {}, label), value) };
                this.values.set(name, entry);
                this.list.append(entry.row);
            }
            entry.row.hidden = !text;
            setText(entry.value, text ?? "");
        }
    }

    update(changes) {
        const { role } = this;

        if (!role || changes.roles.has(role) || changes.removed.size)
            this.show();
    }

    updateRights(changed) {
        const { role } = this;

        if (!role || (changed && changed !== role))
            return;
        for (const button of this.buttons)
            this.page.actions.grey(button, role);
    }

    forEachVisible(visit) {
        if (this.role)
            visit(this.role);
    }

    focusPart(part) {
        if (part === "terminal")
            this.terminal.focus();
        else
            this.log.lines.focus();
    }

    destroy() {
        this.log.destroy();
        this.terminal.destroy();
    }
}
