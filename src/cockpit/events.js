/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The history: a time line with the runs of each role, and the events as architectctl monitor words them. The
 * service keeps its newest events over its restarts (EventsSince); they are read from the end back to the beginning
 * of what is shown, and each later one comes as a signal. */

import * as words from "./words.js";
import { make } from "./ui.js";

const BLOCK = 1000;
const MAX_ROWS = 500;
const HOUR = 3600e6;
/* A time line is made again when there is news, but not for each of many. */
const REDRAW_MS = 1000;
/* and now and then, since the present moves on */
const MOVE_MS = 30000;
/* In percent of the width. What is narrower, and closer to the one before, is drawn as one, but for what runs. */
const THIN = 0.15;
/* In pixels, of the time of day. */
const TICK_WIDTH = 64;

/* The last noon, since a night has two dates. */
function lastNoon(now, days) {
    const noon = new Date(now / 1000);

    if (noon.getHours() < 12)
        noon.setDate(noon.getDate() - 1);
    noon.setDate(noon.getDate() - days);
    noon.setHours(12, 0, 0, 0);
    return noon.getTime() * 1000;
}

const RANGES = {
    hour: { label: "Last hour", of: now => [now - HOUR, now] },
    tonight: { label: "This night, since noon", of: now => [lastNoon(now, 0), now] },
    before: { label: "The night before", of: now => [lastNoon(now, 1), lastNoon(now, 0)] },
    day: { label: "Last 24 hours", of: now => [now - 24 * HOUR, now] },
    week: { label: "Last 7 days", of: now => [now - 7 * 24 * HOUR, now] },
    all: { label: "All that is kept", of: (now, oldest) => [oldest ?? now - HOUR, now] },
};

/* -- reading -- */

class History {
    constructor(node) {
        this.node = node;
        this.events = [];               /* by number, oldest first, without gaps but for what is lost */
        this.complete = true;           /* nothing older was asked for and missing */
        this.whole = false;             /* there is nothing older */
        this.reading = Promise.resolve();
    }

    get oldest() {
        return this.events[0]?.usec ?? null;
    }

    async since(ofEpoch, seq, max) {
        const [epoch, complete, events] = await this.node.call("EventsSince", "stu", [ofEpoch, seq, max]);

        return {
            complete,
            events: events.map(([number, usec, name, role, details]) => ({ seq: number, epoch, usec, name, role, details })),
        };
    }

    /* Reads back to this time, which may be 0, after a reading that is under way. */
    readBack(usec) {
        const read = () => this.readBackNow(usec);
        this.reading = this.reading.then(read, read);
        return this.reading;
    }

    async readBackNow(usec) {
        if (this.events.length === 0 && !this.whole) {
            const last = await this.node.get("EventSequence");
            await this.readBlock(last + 1);
        }
        while (!this.whole && this.oldest > usec)
            await this.readBlock(this.events[0].seq);
    }

    /* The events before this number. */
    async readBlock(before) {
        const seq = Math.max(0, before - 1 - BLOCK);
        const { complete, events } = await this.since(this.node.props.EventEpoch ?? "", seq, before - 1 - seq || 1);
        const older = events.filter(e => e.seq < before);

        if (!complete)
            this.complete = false;
        if (older.length === 0 || seq === 0 || !complete)
            this.whole = true;
        this.events = older.concat(this.events);
    }

    /* An event may come both ways, and one that came while nobody took it is read again. */
    async add(events, lost) {
        const last = this.events.at(-1)?.seq ?? 0;
        const fresh = events.filter(e => e.seq > last);

        if (fresh.length === 0)
            return [];
        if (lost || (last && fresh[0].seq > last + 1)) {
            const missed = await this.since(fresh[0].epoch, last, BLOCK).catch(() => null);
            if (missed) {
                this.events.push(...missed.events);
                return missed.events;
            }
        }
        this.events.push(...fresh);
        return fresh;
    }
}

/* -- the runs of roles -- */

function hasFailed(event) {
    const get = key => event.details[key]?.v;

    return get("result") !== undefined && get("result") !== "success" && !["stop", "kill", "shutdown"].includes(get("cause"));
}

/* role → [{ from, to, look, text }], from and to within the range */
function runsOf(events, roles, [begin, end], now) {
    const lanes = new Map();
    const open = new Map();
    const lane = name => {
        if (!lanes.has(name))
            lanes.set(name, []);
        return lanes.get(name);
    };
    const add = (name, from, to, look, text) => {
        if (to >= begin && from <= end)
            lane(name).push({ from: Math.max(from, begin), to: Math.min(to, end), look, text });
    };

    for (const event of events) {
        if (event.name === "RoleStarted") {
            open.set(event.role, event.details["realtime-usec"]?.v ?? event.usec);
        } else if (event.name === "RoleExited") {
            const from = event.details["start-realtime-usec"]?.v ?? open.get(event.role) ?? begin;
            const to = event.details["exit-realtime-usec"]?.v ?? event.usec;
            open.delete(event.role);
            add(event.role, from, to, hasFailed(event) ? "bad" : "good",
                `${words.timestamp(from)} to ${words.clock(to)}: ${words.eventText(event.name, event.details)}`);
        } else if (event.name === "RoleFailed") {
            add(event.role, event.usec, event.usec, "bad", `${words.timestamp(event.usec)}: failed, ${words.eventText(event.name, event.details)}`);
        }
    }
    for (const role of roles)
        if (role.State !== "ended" && role.StartTimestamp)
            add(role.Name, role.StartTimestamp, now, "running", `since ${words.timestamp(role.StartTimestamp)}: ${words.roleState(role)}`);
    return [...lanes].sort(([a], [b]) => (a < b ? -1 : 1));
}

function joinThin(runs, scale) {
    const joined = [];

    for (const run of runs) {
        const last = joined.at(-1);
        const [left, right] = [scale(run.from), scale(run.to)];
        if (last && run.look !== "running" && right - left < THIN && left - last.right < THIN) {
            last.right = Math.max(last.right, right);
            last.n++;
            if (run.look === "bad")
                last.look = "bad";
            last.text = `${last.n} runs, the last one: ${run.text}`;
        } else {
            joined.push({ left, right, look: run.look, text: run.text, n: 1 });
        }
    }
    return joined;
}

/* -- the view -- */

const STEPS = [60e6, 300e6, 600e6, 1800e6, HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, 24 * HOUR];

export class EventsView {
    constructor(page) {
        this.page = page;
        this.history = new History(page.node);
        this.limit = MAX_ROWS;
        this.laneParts = new Map();
        this.range = make("select", { id: "events-range" },
            ...Object.entries(RANGES).map(([value, { label }]) => make("option", { value, selected: value === "tonight" }, label)));
        this.text = make("input", { type: "search", id: "events-filter", placeholder: "Filter by role", autocomplete: "off", spellcheck: "false" });
        this.kind = make("select", { id: "events-kind" }, make("option", { value: "" }, "All events"),
            ...["RoleStarted", "RoleExited", "RoleRestarting", "RoleFailed", "RolePurged", "MonitorTimedOut", "LeaseExpired",
                "ShuttingDown"].map(name => make("option", { value: name }, name)));
        this.axis = make("div", { class: "axis", "aria-hidden": "true" });
        this.lanes = make("div", { class: "lanes", role: "list" });
        this.marks = make("div", { class: "marks", "aria-hidden": "true" });
        this.note = make("p", { class: "help", role: "status" });
        this.body = make("tbody", { role: "rowgroup" });
        this.more = make("button", { type: "button", hidden: true }, "Show more");
        this.table = make("table", { class: "events", role: "table" },
            make("caption", { class: "hidden-text" }, "Events, the newest first"),
            make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...["Time", "Event", "Role", "What"].map(title =>
                make("th", { scope: "col", role: "columnheader" }, title)))), this.body);
        this.element = make("div", {},
            make("div", { class: "events-tools" },
                make("label", {}, make("span", { class: "hidden-text" }, "Time"), this.range),
                make("label", {}, make("span", { class: "hidden-text" }, "Role contains"), this.text),
                make("label", {}, make("span", { class: "hidden-text" }, "Kind of event"), this.kind), this.note),
            make("section", { class: "timeline", "aria-label": "Time line", "data-timeline": true },
                this.axis, make("div", { class: "tracks" }, this.marks, this.lanes),
                make("p", { class: "legend", "aria-hidden": "true" }, ...[["running", "runs"], ["good", "ran"], ["bad", "failed"],
                    ["mark", "the service, its monitor or a lease"]].map(([look, text]) =>
                    make("span", {}, make("span", { class: "sample", "data-look": look }), text)))),
            this.table, this.more);
        this.range.addEventListener("change", () => this.load());
        this.text.addEventListener("input", () => this.showAll());
        this.kind.addEventListener("change", () => this.showTable());
        this.more.addEventListener("click", () => {
            this.limit += MAX_ROWS;
            this.showTable();
        });
        this.queue = this.load();
    }

    bounds() {
        return RANGES[this.range.value].of(this.page.node.now(), this.history.oldest);
    }

    async load() {
        this.note.textContent = "Reading the events.";
        try {
            await this.history.readBack(this.range.value === "all" ? 0 : this.bounds()[0]);
            this.loaded = true;
            this.note.textContent = this.history.complete ? "" : "Older events are gone; the service keeps the newest ones.";
        } catch (error) {
            this.note.textContent = error.message;
        }
        if (!this.closed)
            this.showAll();
    }

    showAll() {
        this.showTable();
        this.draw();
    }

    wants(event) {
        const text = this.text.value.toLowerCase();

        return (!text || event.role.toLowerCase().includes(text)) && (!this.kind.value || event.name === this.kind.value);
    }

    inRange(event) {
        const [begin, end] = this.shownBounds;
        /* Where the range ends now, an event may be some ms ahead: the clock of the host is not known better. */
        return event.usec >= begin && (event.usec <= end || this.range.value !== "before");
    }

    /* -- the list -- */

    showTable() {
        this.shownBounds = this.bounds();
        const { events } = this.history;
        const rows = document.createDocumentFragment();
        let n = 0;

        this.more.hidden = true;
        for (let i = events.length - 1; i >= 0; i--) {
            if (!this.wants(events[i]) || !this.inRange(events[i]))
                continue;
            if (n++ >= this.limit) {
                this.more.hidden = false;
                break;
            }
            rows.append(this.makeRow(events[i]));
        }
        this.body.replaceChildren(rows);
        this.showEmpty();
    }

    showEmpty() {
        if (this.loaded && this.body.children.length === 0)
            this.body.append(make("tr", { role: "row", class: "none" }, make("td", { role: "cell" }, "No events.")));
        else if (this.body.children.length > 1)
            this.body.querySelector(".none")?.remove();
    }

    makeRow(event) {
        const bad = event.name === "RoleFailed" || event.name === "MonitorTimedOut" || event.name === "LeaseExpired" ||
            (event.name === "RoleExited" && hasFailed(event));

        return make("tr", { role: "row", "data-event": event.name, "data-seq": event.seq, "data-look": bad ? "bad" : null },
            make("td", { role: "cell", class: "time" }, words.timestamp(event.usec)), make("td", { role: "cell" }, event.name),
            make("td", { role: "cell" }, event.role ? make("a", { href: `#/role/${encodeURIComponent(event.role)}` }, event.role) : ""),
            make("td", { role: "cell", class: "what" }, words.escape(words.eventText(event.name, event.details))));
    }

    update(changes) {
        if (changes.events.length) {
            /* In their order, also while the first ones are being read. */
            const { events, lost } = changes;
            this.queue = this.queue.then(() => this.addNew(events, lost));
        }
        if (changes.roles.size)
            this.drawSoon();
    }

    async addNew(events, lost) {
        const fresh = await this.history.add(events, lost);
        const rows = document.createDocumentFragment();

        if (this.closed)
            return;
        this.shownBounds = this.bounds();
        for (const event of fresh.reverse())
            if (this.wants(event) && this.inRange(event))
                rows.append(this.makeRow(event));
        this.body.prepend(rows);
        while (this.body.children.length > this.limit) {
            this.body.lastChild.remove();
            this.more.hidden = false;
        }
        this.showEmpty();
        this.drawSoon();
    }

    /* -- the time line -- */

    drawSoon() {
        this.timer ??= setTimeout(() => this.draw(), REDRAW_MS);
    }

    draw() {
        clearTimeout(this.timer);
        this.timer = null;
        this.drawn = performance.now();
        if (this.closed || !this.loaded)
            return;
        const bounds = this.bounds();
        const [begin, end] = bounds;
        const scale = usec => (usec - begin) / Math.max(1, end - begin) * 100;
        const text = this.text.value.toLowerCase();
        const lanes = runsOf(this.history.events, this.page.node.roles.values(), bounds, this.page.node.now())
            .filter(([name]) => !text || name.toLowerCase().includes(text));

        this.drawAxis(begin, end, scale);
        this.drawMarks(bounds, scale);
        this.drawLanes(lanes, scale);
        this.lanes.parentElement.hidden = lanes.length === 0;
    }

    drawAxis(begin, end, scale) {
        const most = Math.max(2, Math.min(12, Math.floor(this.axis.clientWidth / TICK_WIDTH)));
        const step = STEPS.find(s => (end - begin) / s <= most) ?? STEPS.at(-1);
        /* Full hours of the local time. */
        const zone = new Date(begin / 1000).getTimezoneOffset() * 60e6;
        const ticks = [];

        for (let t = Math.ceil((begin - zone) / step) * step + zone; t <= end; t += step) {
            const label = step >= 24 * HOUR ? words.timestamp(t).slice(4, 14) : words.clock(t).slice(0, 5);
            const tick = make("span", {}, label);
            tick.style.left = `${scale(t)}%`;
            ticks.push(tick);
        }
        this.axis.replaceChildren(...ticks);
    }

    /* What concerns all roles. */
    drawMarks([begin, end], scale) {
        const marks = [];

        for (const event of this.history.events) {
            if (event.name.startsWith("Role") || event.usec < begin || event.usec > end)
                continue;
            const mark = make("span", {
                "data-event": event.name, title: `${words.timestamp(event.usec)}: ${event.name} ${words.eventText(event.name, event.details)}`,
            });
            mark.style.left = `${scale(event.usec)}%`;
            marks.push(mark);
        }
        this.marks.replaceChildren(...marks);
    }

    /* Only what looks different is made again: with hundreds of roles few of them have news. */
    drawLanes(lanes, scale) {
        const kept = this.laneParts;

        this.laneParts = new Map();
        for (const [name, runs] of lanes) {
            const bars = joinThin(runs, scale);
            const key = bars.map(bar => `${bar.left.toFixed(1)} ${bar.right.toFixed(1)} ${bar.look} ${bar.n}`).join();
            const old = kept.get(name);
            this.laneParts.set(name, old?.key === key ? old : { key, element: this.makeLane(name, runs, bars) });
        }
        const elements = [...this.laneParts.values()].map(part => part.element);
        const children = [...this.lanes.children];
        if (elements.length === children.length && elements.every((e, i) => e === children[i]))
            return;
        if (elements.length !== children.length)
            this.lanes.replaceChildren(...elements);
        else
            elements.forEach((e, i) => { if (e !== children[i]) children[i].replaceWith(e) });
    }

    makeLane(name, runs, bars) {
        const failed = runs.filter(run => run.look === "bad").length;
        const parts = bars.map(({ left, right, look, text }) => {
            const bar = make("span", { class: "run", "data-look": look, title: `${name}, ${text}` });
            bar.style.left = `${left}%`;
            bar.style.width = `${Math.max(0, right - left)}%`;
            return bar;
        });

        return make("div", { class: "lane", role: "listitem", "data-lane": name },
            make("a", { href: `#/role/${encodeURIComponent(name)}` }, name),
            make("div", {
                class: "track", role: "img",
                "aria-label": `${runs.length} run${runs.length === 1 ? "" : "s"}, ${failed} failed`,
            }, ...parts));
    }

    tick() {
        if (this.loaded && performance.now() - this.drawn > MOVE_MS)
            this.draw();
    }

    destroy() {
        this.closed = true;
        clearTimeout(this.timer);
    }
}
