/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The lists of roles: by name, by group, by dependency. */

import * as words from "./words.js";
import { RoleTable } from "./table.js";
import { byId, make, setText } from "./ui.js";

function compare(a, b) {
    return a < b ? -1 : a > b ? 1 : 0;
}

function sorted(roles) {
    return [...roles].sort((a, b) => compare(a.Name, b.Name));
}

class ListView {
    constructor(page, caption) {
        this.page = page;
        this.table = new RoleTable(page, caption);
        this.empty = make("p", { class: "empty" });
        this.element = make("div", {}, this.table.element, this.empty);
    }

    filter() {
        const text = byId("filter-text").value.toLowerCase();
        const state = byId("filter-state").value;
        const matches = role => (!text || role.Name.toLowerCase().includes(text)) &&
            (!state || (state === "failed" ? words.roleHasFailed(role) : state === "ended" ? role.State === "ended"
                : role.State !== "ended"));
        const n = this.table.filter(matches);

        this.matches = text || state ? matches : null;
        this.empty.textContent = this.page.node.roles.size === 0
            ? "No roles. Start one with the buttons above, or with: architectctl start NAME COMMAND"
            : n === 0 ? "No role matches." : "";
        this.table.element.hidden = n === 0;
    }

    updateRights(role) {
        this.table.forEachVisible(row => {
            if (!role || row.role === role)
                row.updateRights();
        });
    }

    forEachVisible(visit) {
        this.table.forEachVisible(row => visit(row.role));
    }

    tick() {
        this.table.forEachVisible(row => row.tick());
    }

    destroy() {
        this.table.destroy();
    }
}

export class RolesView extends ListView {
    constructor(page) {
        super(page, "Roles");
        this.table.show([{ rows: sorted(page.node.roles.values()).map(role => ({ role })) }]);
        this.filter();
    }

    update(changes) {
        const { size } = this.table.rows;

        for (const path of changes.removed)
            this.table.remove(path);
        for (const role of changes.roles)
            if (!this.table.update(role))
                this.table.insert(role);
        if (this.matches ? changes.roles.size + changes.removed.size > 0 : size !== this.table.rows.size || size === 0)
            this.filter();
    }
}

/* A list whose sections depend on more than the names: it is made again when they are others. */
class SectionsView extends ListView {
    constructor(page, caption) {
        super(page, caption);
        this.key = null;
        this.arrange();
    }

    arrange() {
        const key = this.sectionsKey();

        if (key === this.key)
            return false;
        this.key = key;
        this.table.show(this.sections());
        this.filter();
        return true;
    }

    update(changes) {
        if ((changes.roles.size || changes.removed.size) && this.arrange())
            return;
        for (const role of changes.roles)
            this.table.update(role);
        if (changes.roles.size && this.matches)
            this.filter();
        this.updateNotes?.(changes);
    }
}

export class GroupsView extends SectionsView {
    constructor(page) {
        super(page, "Roles by group");
    }

    sectionsKey() {
        return sorted(this.page.node.roles.values()).map(r => `${r.Name}:${r.RoleGroups}`).join(" ");
    }

    note(roles) {
        const running = roles.filter(role => role.State !== "ended").length;
        const failed = roles.filter(words.roleHasFailed).length;
        return `${roles.length} role${roles.length === 1 ? "" : "s"}, ${running} running, ${failed} failed`;
    }

    sections() {
        const groups = new Map();
        const without = [];

        for (const role of sorted(this.page.node.roles.values())) {
            if (!role.RoleGroups?.length)
                without.push(role);
            for (const group of role.RoleGroups ?? []) {
                if (!groups.has(group))
                    groups.set(group, []);
                groups.get(group).push(role);
            }
        }
        this.groups = [...groups].sort(([a], [b]) => compare(a, b));
        if (without.length)
            this.groups.push(["", without]);
        return this.groups.map(([group, roles]) => ({
            title: group || "In no group", group, note: this.note(roles), rows: roles.map(role => ({ role })),
        }));
    }

    updateNotes(changes) {
        if (changes.roles.size === 0)
            return;
        this.groups.forEach(([, roles], i) => {
            setText(this.table.element.tBodies[i].querySelector(".note"), this.note(roles));
        });
    }
}

const KINDS = [
    ["requires", "Requires"], ["binds-to", "BindsTo"], ["wants", "Wants"], ["part-of", "PartOf"], ["after", "After"],
];

/* What each role depends on is below it, as architectctl tree has it. */
export class DependenciesView extends SectionsView {
    constructor(page) {
        super(page, "Roles, with what each of them depends on below it");
    }

    sectionsKey() {
        return sorted(this.page.node.roles.values()).map(r =>
            `${r.Name}:${KINDS.map(([, property]) => r[property]?.join() ?? "").join(";")}`).join(" ");
    }

    sections() {
        const { node } = this.page;
        const edges = new Map();
        const below = new Set();

        for (const role of node.roles.values()) {
            const others = new Map();
            for (const [kind, property] of KINDS)
                for (const name of role[property] ?? []) {
                    others.set(name, [...others.get(name) ?? [], kind]);
                    below.add(name);
                }
            edges.set(role.Name, others);
        }
        const rows = [];
        const shown = new Set();
        const add = (name, kinds, level) => {
            const role = node.byName.get(name) ?? { Name: name, path: `missing/${name}`, missing: "not there", State: "" };
            const others = edges.get(name) ?? new Map();
            const again = shown.has(name) && others.size > 0;
            rows.push({ role, kinds: kinds.join(" "), level, again });
            if (shown.has(name))
                return;
            shown.add(name);
            for (const [other, otherKinds] of others)
                add(other, otherKinds, level + 1);
        };
        const names = [...node.byName.keys()].sort();
        /* Those that nothing is above, and then one of each circle. */
        for (const circles of [false, true])
            for (const name of names)
                if (!shown.has(name) && (circles || !below.has(name)))
                    add(name, [], 0);
        return [{ rows }];
    }
}
