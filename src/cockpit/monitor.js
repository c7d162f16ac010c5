/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who beats, and when the next beat is due: the monitor of the service, and the managers that hold leases. Their
 * deadlines are on CLOCK_MONOTONIC, and no browser knows that clock of the host. A role and the kernel's uptime
 * tell where it is. */

/* global cockpit */

import * as words from "./words.js";
import { make, setText, byId } from "./ui.js";

const NOBODY = 0xffffffff;
const EVERY_MS = 3000;

export class Monitor {
    constructor(node) {
        this.node = node;
        this.leases = new Map();
        this.uids = new Map();
        this.deadline = null;           /* 0: the monitor is not armed; null: not read yet */
        this.offset = null;             /* CLOCK_REALTIME less CLOCK_MONOTONIC */
    }

    clear() {
        this.leases.clear();
        this.deadline = null;
        this.lastRead = 0;
        this.reading = false;
        byId("monitor").replaceChildren();
    }

    /* The clock of the host: its time of day, and since when it runs. A time asleep does not count for
     * CLOCK_MONOTONIC, but for the uptime; a run of a role after it tells the difference. */
    async readClocks() {
        const before = Date.now();
        const text = await cockpit.spawn(["sh", "-c", "date +%s.%N; cat /proc/uptime"], { err: "message" });
        const [date, uptime] = text.split("\n");
        const now = parseFloat(date) * 1e6;

        this.node.skew = now - (before + Date.now()) / 2 * 1000;
        let newest = 0;
        this.offset = now - parseFloat(uptime) * 1e6;
        for (const role of this.node.roles.values())
            if (role.StartTimestampMonotonic > newest) {
                newest = role.StartTimestampMonotonic;
                /* The clock of the day may have been set since, the other one has run on: only a sleep matters. */
                const slept = role.StartTimestamp - role.StartTimestampMonotonic - this.offset;
                this.slept = slept > 2e6 ? slept : 0;
            }
        this.offset += this.slept ?? 0;
    }

    /* Reads what has no signal. */
    async read() {
        const now = performance.now();

        if (!this.node.ready || this.reading || now - (this.lastRead ?? 0) < EVERY_MS - 100)
            return;
        this.reading = true;
        this.lastRead = now;
        try {
            if (this.offset === null)
                await this.readClocks();
            const [deadline, [leases]] = await Promise.all([
                this.node.get("MonitorDeadlineUSec"), this.node.call("ListLeases", "", []),
            ]);
            this.deadline = words.isInfinite(deadline) ? 0 : deadline;
            this.leases = new Map(leases.map(([name, uid, timeout, expires, token, roles]) =>
                [name, { name, uid, timeout, expires, token, roles }]));
            await this.readUsers();
        } catch (error) {
            /* It has ended meanwhile, or is older than leases. */
        } finally {
            this.reading = false;
        }
    }

    async readUsers() {
        const uids = [...this.leases.values()].map(l => l.uid).filter(uid => uid !== NOBODY && !this.uids.has(uid));

        for (const uid of new Set(uids)) {
            const line = await cockpit.spawn(["getent", "passwd", String(uid)], { err: "ignore" }).catch(() => "");
            this.uids.set(uid, line.split(":")[0] || String(uid));
        }
    }

    leftUntil(monotonic) {
        return monotonic + this.offset - this.node.now();
    }

    dueText(monotonic, what) {
        if (this.offset === null)
            return "";
        const left = this.leftUntil(monotonic);
        return left >= 0 ? `${what} due in ${words.spanSeconds(left)}` : `${what} late by ${words.spanSeconds(-left)}`;
    }

    /* The cell of a role. */
    roleText(role) {
        if (role.Lease) {
            const lease = this.leases.get(role.Lease);
            if (!lease)
                return role.Lease;
            if (lease.uid === NOBODY)
                return `${role.Lease}, nobody`;
            return this.offset === null ? role.Lease
                : `${role.Lease}, ${words.spanSeconds(Math.max(0, this.leftUntil(lease.expires)))}`;
        }
        if (role.State === "ended" || role.OnMonitorLoss === "keep" || !this.deadline || this.offset === null)
            return "-";
        return `monitor, ${words.spanSeconds(Math.max(0, this.leftUntil(this.deadline)))}`;
    }

    /* In the words of architectctl status. */
    monitorText() {
        const limit = this.node.props.MonitorTimeoutUSec;

        if (!limit)
            return "off";
        if (this.deadline === null)
            return `(limit ${words.span(limit)})`;
        if (!this.deadline)
            return `not armed; the first beat starts it (limit ${words.span(limit)})`;
        return `${this.dueText(this.deadline, "next beat")} (limit ${words.span(limit)})`;
    }

    leaseText(lease) {
        if (lease.uid === NOBODY)
            return "nobody holds it";
        return `${this.uids.get(lease.uid) ?? lease.uid} beats; ${this.dueText(lease.expires, "next beat")} ` +
            `(limit ${words.span(lease.timeout)})`;
    }

    show() {
        const list = byId("monitor");

        if (!this.node.ready) {
            list.replaceChildren();
            return;
        }
        const entries = [["monitor", "Monitor", this.monitorText(), false]];
        for (const lease of this.leases.values())
            entries.push([`lease ${lease.name}`, `Lease ${lease.name}`, this.leaseText(lease),
                lease.uid !== NOBODY && this.offset !== null && this.leftUntil(lease.expires) < 0]);
        entries[0][3] = this.deadline > 0 && this.offset !== null && this.leftUntil(this.deadline) < 0;
        if (list.children.length !== entries.length ||
            entries.some(([key], i) => list.children[i].dataset.beat !== key))
            list.replaceChildren(...entries.map(([key, title]) => make("div", { "data-beat": key },
                make("dt", {}, title), make("dd", {}))));
        entries.forEach(([, , text, late], i) => {
            const item = list.children[i];
            setText(item.lastChild, text);
            item.classList.toggle("late", late);
        });
    }
}
