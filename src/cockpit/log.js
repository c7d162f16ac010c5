/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a role has printed, and what the service says about it, from the journal of the host as architectctl logs
 * asks for it. New lines come as they are written. */

/* global cockpit */

import * as words from "./words.js";
import { architectctl } from "./bus.js";
import { make } from "./ui.js";

const FIRST_LINES = 500;
const MAX_LINES = 5000;
/* An entry may be as long as its writer wants. */
const MAX_LENGTH = 8192;

/* A message with control characters comes as bytes. What would move the cursor of a terminal is left out. */
function messageText(message) {
    let text = message;

    if (Array.isArray(message))
        text = new TextDecoder().decode(new Uint8Array(message));
    if (typeof text !== "string")
        return "[blob data]";
    if (text.length > MAX_LENGTH)
        text = `${text.slice(0, MAX_LENGTH)} ...`;
    return text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]/g, "");
}

export class Log {
    constructor(page, role) {
        this.page = page;
        this.role = role;
        this.pending = [];
        this.rest = "";
        this.lines = make("div", { class: "lines", role: "log", tabindex: "0", "aria-label": `Log of ${role}`, "data-log": true });
        this.note = make("p", { class: "empty" });
        this.follow = make("input", { type: "checkbox", id: "log-follow", checked: true });
        this.follow.addEventListener("change", () => { if (this.follow.checked) this.scroll() });
        this.lines.addEventListener("scroll", () => this.onScroll());
        this.element = make("section", { class: "pane", "aria-label": "Log" },
            make("div", { class: "pane-head" }, make("h3", {}, "Log"),
                make("div", { class: "check" }, this.follow, make("label", { for: "log-follow" }, "Follow"))),
            this.lines, this.note);
        this.resized = new ResizeObserver(() => { if (this.follow.checked) this.scroll() });
        this.resized.observe(this.lines);
        this.open();
    }

    open() {
        const argv = architectctl(this.page.instance, "--quiet", "--no-pager", "logs", "--follow",
            `--lines=${FIRST_LINES}`, "--output=json", this.role);

        this.process = cockpit.spawn(argv, { superuser: "try", err: "message" });
        this.process.stream(data => this.onData(data));
        this.process.then(() => this.onEnd("The log has ended."), error => this.onEnd(error.message));
        /* Who may not read the journal gets what he has written himself, and no error. */
        if (this.page.superuser.available)
            this.note.textContent = "Without administrative access the journal may show your own messages only.";
    }

    onData(data) {
        const lines = (this.rest + data).split("\n");

        this.rest = lines.pop();
        for (const line of lines) {
            try {
                this.pending.push(JSON.parse(line));
            } catch (error) {
                /* A line that is no entry says something to a person. */
                if (line)
                    this.note.textContent = line;
            }
        }
        if (this.pending.length > MAX_LINES)
            this.pending.splice(0, this.pending.length - MAX_LINES);
        if (this.pending.length && !this.frame)
            this.frame = requestAnimationFrame(() => this.show());
    }

    show() {
        const parts = document.createDocumentFragment();

        this.frame = 0;
        for (const entry of this.pending)
            parts.append(this.makeLine(entry));
        this.pending = [];
        this.lines.append(parts);
        while (this.lines.children.length > MAX_LINES)
            this.lines.firstChild.remove();
        if (this.follow.checked)
            this.scroll();
    }

    makeLine(entry) {
        const usec = Number(entry.__REALTIME_TIMESTAMP);
        const who = entry.SYSLOG_IDENTIFIER ?? entry._COMM ?? "";
        const pid = entry._PID ?? entry.SYSLOG_PID;
        const priority = Number(entry.PRIORITY ?? 6);

        return make("div", {
            class: "line", "data-level": priority <= 3 ? "error" : priority === 4 ? "warning" : null,
            "data-service": entry.ARCHITECT_INSTANCE ? true : null,
        }, make("time", { title: words.timestamp(usec) }, words.clock(usec)), " ",
        make("span", { class: "who" }, typeof who === "string" ? `${who}${pid ? `[${pid}]` : ""}:` : ""), " ",
        make("span", { class: "message" }, messageText(entry.MESSAGE)));
    }

    scroll() {
        this.lines.scrollTop = this.lines.scrollHeight;
    }

    /* Who scrolls up wants to read, and who goes to the end wants what is new. What moves because its size is another
     * one says nothing. */
    onScroll() {
        const { scrollTop, scrollHeight, clientHeight } = this.lines;
        const size = `${scrollHeight} ${clientHeight}`;

        if (this.size === size)
            this.follow.checked = scrollTop + clientHeight >= scrollHeight - 4;
        else if (this.follow.checked)
            this.scroll();
        this.size = size;
    }

    onEnd(text) {
        this.process = null;
        if (!this.closed)
            this.note.textContent = text;
    }

    destroy() {
        this.closed = true;
        this.resized.disconnect();
        if (this.frame)
            cancelAnimationFrame(this.frame);
        this.process?.close("terminated");
    }
}
