/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The terminal of a role. architectctl attach opens it (OpenTerminal) on a terminal that the bridge makes, whose
 * bytes are a stream in both directions, and passes its size on. xterm.js draws it, in the version that the
 * distribution has; between its versions 3 and 5 some names are others. */

/* global cockpit */

import { architectctl } from "./bus.js";
import { make, setText } from "./ui.js";

const FONT_SIZE = 13;
const FONT = '"RedHatMono", "Red Hat Mono", "Liberation Mono", "DejaVu Sans Mono", Consolas, monospace';
const MIN_COLUMNS = 20;
const MIN_ROWS = 5;

const COLORS = {
    dark: { background: "#151515", foreground: "#e0e0e0", cursor: "#e0e0e0" },
    light: { background: "#ffffff", foreground: "#151515", cursor: "#151515", selection: "#b3d4fc", selectionBackground: "#b3d4fc" },
};

/* Resolves to the class, or to null if the page was installed without it. */
let emulator = null;
function loadEmulator() {
    emulator ??= import("./xterm.js").then(module => {
        const found = module.default;

        if (found)
            document.head.append(make("link", { rel: "stylesheet", href: "xterm.css" }));
        return found && (found.Terminal ?? found);
    });
    return emulator;
}

export class Terminal {
    constructor(page, role) {
        this.page = page;
        this.role = role;
        this.run = null;
        this.screen = make("div", { class: "screen", "data-terminal": true });
        this.note = make("p", { class: "empty" });
        this.help = make("span", { class: "help", hidden: true }, "Shift+Escape leaves it");
        this.attach = make("button", { type: "button", class: "small", hidden: true }, "Attach again");
        this.attach.addEventListener("click", () => this.open());
        this.element = make("section", { class: "pane", "aria-label": "Terminal", tabindex: "-1" },
            make("div", { class: "pane-head" }, make("h3", {}, "Terminal"),
                this.help, this.attach), this.screen, this.note);
        this.resized = new ResizeObserver(() => this.fit());
        this.themed = new MutationObserver(() => this.setTheme());
        this.screen.hidden = true;
    }

    /* Follows the role: a new run has a new terminal. */
    update(role) {
        if (role?.Stdin !== "pty")
            return;
        if (role.State === "ended") {
            this.setNote("The role has ended.");
        } else if (this.run !== role.InvocationID && role.MainPID) {
            this.run = role.InvocationID;
            this.open();
        }
    }

    setNote(text) {
        setText(this.note, text);
    }

    async open() {
        const Emulator = await loadEmulator();

        if (this.closed)
            return;
        if (!Emulator) {
            this.setNote("This page was installed without xterm.js, so it shows no terminal. On the host, use: " +
                `architectctl attach ${this.role}`);
            return;
        }
        this.close();
        this.setNote("");
        this.screen.hidden = this.help.hidden = false;
        this.attach.hidden = true;
        this.screen.replaceChildren();
        const { columns, rows } = this.size();
        this.term = new Emulator({
            cols: columns, rows, fontSize: FONT_SIZE, fontFamily: FONT, cursorBlink: false, scrollback: 2000,
            screenReaderMode: true, theme: this.theme(),
        });
        this.term.attachCustomKeyEventHandler(event => this.onKey(event));
        this.term.open(this.screen);
        const channel = cockpit.channel({
            payload: "stream",
            spawn: architectctl(this.page.instance, "--quiet", "--no-ask-password", "attach", "--escape=none", this.role),
            environ: ["TERM=xterm-256color"],
            pty: true,
            window: { rows, cols: columns },
            superuser: "try",
        });
        const type = data => { if (channel.valid) channel.send(data) };
        if (this.term.onData)
            this.term.onData(type);
        else
            this.term.on("data", type);
        const { term } = this;
        channel.addEventListener("message", (event, data) => term.write(data));
        channel.addEventListener("close", (event, options) => this.onClose(channel, options));
        this.channel = channel;
        this.resized.observe(this.screen);
        this.themed.observe(document.documentElement, { attributeFilter: ["data-theme"] });
        this.term.focus();
    }

    /* Tab and Escape are the role's, so who has no pointer needs a key to leave. */
    onKey(event) {
        if (event.key !== "Escape" || !event.shiftKey)
            return true;
        if (event.type === "keydown")
            this.element.focus();
        return false;
    }

    onClose(channel, options) {
        if (channel !== this.channel)
            return;
        this.channel = null;
        if (options.problem)
            this.setNote(`The terminal is closed: ${options.message || options.problem}`);
        else
            this.setNote("The terminal is closed.");
        this.attach.hidden = this.page.node.byName.get(this.role)?.State === "ended";
    }

    /* -- the size -- */

    cell() {
        if (!this.measured) {
            const probe = make("span", { class: "probe" }, "W".repeat(50));
            probe.style.fontFamily = FONT;
            probe.style.fontSize = `${FONT_SIZE}px`;
            document.body.append(probe);
            const { width, height } = probe.getBoundingClientRect();
            probe.remove();
            this.measured = { width: Math.ceil(width / 50 * 100) / 100, height: Math.ceil(height) };
        }
        return this.measured;
    }

    size() {
        const { width, height } = this.cell();
        /* The emulator has a bar to scroll on its right side. */
        return {
            columns: Math.max(MIN_COLUMNS, Math.floor((this.screen.clientWidth - 18) / width)),
            rows: Math.max(MIN_ROWS, Math.floor((this.screen.clientHeight - 8) / height)),
        };
    }

    fit() {
        const { columns, rows } = this.size();

        if (!this.term || (this.term.cols === columns && this.term.rows === rows) || this.screen.clientWidth === 0)
            return;
        this.term.resize(columns, rows);
        this.channel?.control({ window: { rows, cols: columns } });
    }

    /* -- the colours -- */

    theme() {
        return COLORS[document.documentElement.dataset.theme] ?? COLORS.light;
    }

    setTheme() {
        if (this.term?.setOption)
            this.term.setOption("theme", this.theme());
        else if (this.term)
            this.term.options.theme = this.theme();
    }

    focus() {
        this.term?.focus();
    }

    close() {
        const { channel, term } = this;

        this.channel = this.term = null;
        this.resized.disconnect();
        this.themed.disconnect();
        channel?.close();
        term?.dispose?.();
    }

    destroy() {
        this.closed = true;
        this.close();
    }
}
