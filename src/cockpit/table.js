/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A table of roles, in sections. Each row is made once and changed in place, and only where a text is another
 * one. What changes with time alone (how long since, CPU, memory, deadlines) and what a right permits is looked
 * at for the rows that can be seen. All that comes from roles is text, never markup. */

import * as words from "./words.js";
import { make, setText } from "./ui.js";

const COLUMNS = [
    ["state", "State"], ["ready", "Ready"], ["since", "Since"], ["pid", "PID"], ["user", "User"],
    ["restarts", "Restarts"], ["next", "Next start"], ["exit", "Exit"], ["cpu", "CPU"], ["memory", "Memory"],
    ["beat", "Beat"],
];

function makeRowTemplate() {
    const row = make("tr", { role: "row" });
    const name = make("th", { scope: "row", role: "rowheader", class: "role" },
        make("span", { class: "kind" }), make("a", {}), make("span", { class: "status-text" }));

    row.append(name);
    for (const [field, label] of COLUMNS)
        row.append(make("td", { role: "cell", "data-field": field, "data-label": label },
            field === "state" ? make("span", { class: "badge" }) : ""));
    row.append(make("td", { role: "cell", class: "actions" },
        make("button", { type: "button", class: "small" }),
        make("button", { type: "button", class: "small", "data-action": "log" }, "Log")));
    return row;
}

let template = null;

class Row {
    constructor(table, role, options) {
        template ??= makeRowTemplate();
        this.table = table;
        this.role = role;
        this.visible = false;
        const e = this.element = template.cloneNode(true);
        const cells = e.children;
        this.cells = {};
        COLUMNS.forEach(([field], i) => { this.cells[field] = cells[i + 1] });
        this.badge = this.cells.state.firstChild;
        [this.kind, this.link, this.statusText] = cells[0].children;
        [this.button, this.log] = cells[cells.length - 1].children;
        e.dataset.role = role.Name;
        e.row = this;
        this.link.textContent = role.Name + (options?.again ? " (see above)" : "");
        this.link.href = `#/role/${encodeURIComponent(role.Name)}`;
        this.log.setAttribute("aria-label", `Log of ${role.Name}`);
        if (options?.kinds)
            this.kind.textContent = options.kinds;
        if (options?.level) {
            cells[0].style.setProperty("--level", options.level);
            e.setAttribute("aria-level", options.level + 1);
        }
        this.update();
    }

    update() {
        const role = this.role;
        const look = role.missing ? "bad" : words.roleLook(role);

        if (this.badge.dataset.look !== look)
            this.badge.dataset.look = look;
        setText(this.badge, role.missing ?? words.roleState(role));
        setText(this.statusText, role.StatusText ? words.escape(role.StatusText) : "");
        if (role.missing)
            return;
        setText(this.cells.ready, role.partial ? "" : role.Ready ? "yes" : "no");
        setText(this.cells.pid, role.MainPID ? String(role.MainPID) : "-");
        setText(this.cells.user, role.partial ? "" : role.User || "root");
        setText(this.cells.restarts, String(role.NRestarts ?? ""));
        setText(this.cells.exit, words.roleEnd(role));
        const explained = role.State === "ended" ? words.cause(role.Cause) : "";
        if (this.cells.exit.title !== explained)
            this.cells.exit.title = explained;
        const action = role.State === "ended" ? "start" : "stop";
        if (this.button.dataset.action !== action) {
            this.button.dataset.action = action;
            this.button.textContent = action === "start" ? "Start" : "Stop";
            this.button.setAttribute("aria-label", `${this.button.textContent} ${role.Name}`);
        }
        this.updateRights();
        this.tick();
    }

    /* What the passing of time changes. */
    tick() {
        const role = this.role;

        if (role.missing)
            return;
        const { node, monitor } = this.table.page;
        const now = node.now();
        const since = words.roleSince(role);
        setText(this.cells.since, since ? words.spanSeconds(Math.max(0, now - since)) : "-");
        const title = since ? words.timestamp(since) : "";
        if (this.cells.since.title !== title)
            this.cells.since.title = title;
        setText(this.cells.next, words.roleNext(role, now));
        setText(this.cells.beat, monitor.roleText(role));
        const usage = role.State === "ended" ? null : role.usage;
        setText(this.cells.cpu, words.percent(usage?.cpu));
        setText(this.cells.memory, usage ? words.size(usage.memory) : "-");
    }

    updateRights() {
        if (!this.role.missing)
            this.table.page.actions.grey(this.button, this.role);
    }
}

export class RoleTable {
    /* page: { node, monitor, actions }. caption is for those who cannot see the tab above. */
    constructor(page, caption) {
        this.page = page;
        this.rows = new Map();          /* path → rows, since a role may be in several groups */
        this.element = make("table", { role: "table", class: "roles" });
        this.element.append(make("caption", { class: "hidden-text" }, caption));
        this.head = make("thead", { role: "rowgroup" }, make("tr", { role: "row" },
            make("th", { scope: "col", role: "columnheader", class: "role" }, "Role"),
            ...COLUMNS.map(([field, label]) => make("th", { scope: "col", role: "columnheader", "data-column": field },
                label)),
            make("th", { scope: "col", role: "columnheader", class: "actions" },
                make("span", { class: "hidden-text" }, "Actions"))));
        this.element.append(this.head);
        this.seen = new IntersectionObserver(entries => this.onSeen(entries), { rootMargin: "100px" });
    }

    onSeen(entries) {
        for (const entry of entries) {
            const row = entry.target.row;
            row.visible = entry.isIntersecting;
            if (row.visible) {
                row.tick();
                row.updateRights();
            }
        }
        this.page.onVisible?.();
    }

    /* sections: [{ title, note, group, rows: [{ role, level, kinds, again }] }] */
    show(sections) {
        this.seen.disconnect();
        this.rows.clear();
        const bodies = sections.map(section => this.makeBody(section));
        this.element.replaceChildren(this.element.caption, this.head, ...bodies);
        for (const rows of this.rows.values())
            for (const row of rows)
                this.seen.observe(row.element);
    }

    makeBody(section) {
        const body = make("tbody", { role: "rowgroup" });

        if (section.title) {
            const cell = make("th", { scope: "rowgroup", role: "rowheader", colspan: COLUMNS.length + 2 }, section.title);
            if (section.note)
                cell.append(make("span", { class: "note" }, section.note));
            if (section.group)
                body.dataset.group = section.group;
            body.append(make("tr", { role: "row", class: "section" }, cell));
        }
        for (const entry of section.rows)
            body.append(this.addRow(entry.role, entry).element);
        return body;
    }

    addRow(role, options) {
        const row = new Row(this, role, options);
        const rows = this.rows.get(role.path);

        if (rows)
            rows.push(row);
        else
            this.rows.set(role.path, [row]);
        return row;
    }

    update(role) {
        const rows = this.rows.get(role.path);
        if (!rows)
            return false;
        for (const row of rows)
            row.update();
        return true;
    }

    /* Puts the row of a new role in its place, which is that of its name, into the only section. */
    insert(role) {
        const body = this.element.tBodies[0];
        const row = this.addRow(role);
        let low = 0;
        let high = body.rows.length;

        while (low < high) {
            const middle = (low + high) >> 1;
            if (body.rows[middle].dataset.role < role.Name)
                low = middle + 1;
            else
                high = middle;
        }
        body.insertBefore(row.element, body.rows[low] ?? null);
        this.seen.observe(row.element);
        return row;
    }

    remove(path) {
        const rows = this.rows.get(path);

        if (!rows)
            return;
        this.rows.delete(path);
        for (const row of rows) {
            this.seen.unobserve(row.element);
            row.element.remove();
        }
    }

    forEachVisible(visit) {
        for (const rows of this.rows.values())
            for (const row of rows)
                if (row.visible && !row.element.hidden)
                    visit(row);
    }

    filter(matches) {
        let n = 0;
        for (const rows of this.rows.values())
            for (const row of rows) {
                const hidden = !matches(row.role);
                if (row.element.hidden !== hidden)
                    row.element.hidden = hidden;
                n += hidden ? 0 : 1;
            }
        return n;
    }

    destroy() {
        this.seen.disconnect();
        this.rows.clear();
        this.element.remove();
    }
}
