// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The browser, who is logged in, and what a test does with the page. Everything waits for what the page shows;
// nothing waits for a time.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { clear, defineOnly } from "./service.mjs";

// A loaded machine is no bug.
export const PATIENCE = 30_000;
const PICTURES = "/var/tmp/cockpit-pictures";

const { chromium } = createRequire(process.env.COCKPIT_DRIVER + "/")("playwright-core");

export const ADDRESS = "http://127.0.0.1:9090";
// Without the frame of Cockpit around it, which most tests do not need and which takes a second to load.
export const PAGE = "/cockpit/@localhost/architect/index.html";

// alice may use sudo, bob may not. "limited" is alice without "Administrative access".
export const PASSWORD = "sesame";
const USERS = {
    admin: { name: "alice", superuser: "any" },
    limited: { name: "alice", superuser: "none" },
    bob: { name: "bob", superuser: "any" },
};

let browser;
const sessions = new Map();

async function launch() {
    browser ??= await chromium.launch({
        executablePath: "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
    });
    return browser;
}

export async function closeBrowser() {
    await browser?.close();
    browser = undefined;
}

// The log-in is that of Cockpit's own page: PAM, and with "any" the password for sudo as well. Cockpit ends a
// session that has had no page for 15 s, so one that has had none for a while is not used again.
const UNUSED_MS = 5000;

async function session(who) {
    const known = sessions.get(who);
    if (known && (known.pages > 0 || performance.now() - known.used < UNUSED_MS))
        return known.state;
    const context = await (await launch()).newContext({ baseURL: ADDRESS });
    try {
        const password = Buffer.from(`${USERS[who].name}:${PASSWORD}`).toString("base64");
        const reply = await context.request.get("/cockpit/login", {
            headers: { "Authorization": `Basic ${password}`, "X-Superuser": USERS[who].superuser },
        });
        assert.equal(reply.status(), 200, `log-in as ${who}`);
        sessions.set(who, { state: await context.storageState(), pages: 0, used: performance.now() });
    } finally {
        await context.close();
    }
    return sessions.get(who).state;
}

// The next page of this user logs in again, since this session has got administrative access.
export const forget = who => sessions.delete(who);

// A page of its own, with the login of this user ("" for none) and these options of the browser.
export async function newPage(who, options = {}) {
    const context = await (await launch()).newContext({
        baseURL: ADDRESS,
        viewport: { width: 1280, height: 800 },
        ...who && { storageState: await session(who) },
        ...options,
    });
    context.setDefaultTimeout(PATIENCE);
    const page = await context.newPage();
    const used = sessions.get(who);
    if (used) {
        used.pages++;
        context.on("close", () => {
            used.pages--;
            used.used = performance.now();
        });
    }
    page.complaints = [];
    page.on("pageerror", error => page.complaints.push(String(error.stack ?? error)));
    // This has what the security policy refuses, too.
    page.on("console", message => {
        if (message.type() === "error")
            page.complaints.push(message.text());
    });
    return page;
}

export const ready = page => page.locator("html[data-ready='1']").waitFor({ state: "attached" });

// Opens the page in the state in which it has shown its first picture.
export async function load(page, path = PAGE) {
    const response = await page.goto(path);
    assert.ok(!response || response.ok(), `${path}: ${response?.status()}`);
    await ready(page);
}

// Runs the body of a test with a new page of this user. Whatever it throws, the picture of the moment is kept, and the
// page is closed. A page that has complained on the console fails the test, unless the test removes the complaint from
// page.complaints.
export async function withPage(name, who, options, body) {
    const page = await newPage(who, options);
    try {
        await body(page);
        assert.deepEqual(page.complaints, [], "the browser has complained");
    } catch (error) {
        mkdirSync(PICTURES, { recursive: true });
        await page.screenshot({ path: `${PICTURES}/${name.replace(/[^A-Za-z0-9]+/g, "-")}.png` }).catch(() => {});
        for (const complaint of page.complaints)
            process.stderr.write(`the browser has complained: ${complaint}\n`);
        throw error;
    } finally {
        await page.context().close();
    }
}

// Returns the function that makes a test with our page, for a file whose tests have these definitions. A test begins
// without a role, and leaves none.
export const testsWith = definitions => (name, who, body, options) => {
    test(name, { timeout: 4 * PATIENCE }, async () => {
        await defineOnly(definitions);
        await withPage(name, who, options, async page => {
            await load(page);
            await body(page);
        });
        await clear();
    });
};

const squeeze = text => text.replace(/\s+/g, " ").trim();

// Waits until an element shows this text, or one that matches.
export async function shows(locator, expected) {
    const matches = text => expected instanceof RegExp ? expected.test(text) : text === squeeze(expected);
    let found;
    for (const end = performance.now() + PATIENCE; performance.now() < end; await setTimeout(20)) {
        try {
            found = (await locator.evaluateAll(all => all.filter(e => e.checkVisibility()).map(e =>
                e.textContent))).map(squeeze);
        } catch (error) {
            found = [error.message];        // the page is being loaded
        }
        if (found.some(matches))
            return;
    }
    throw new Error(`expected ${expected}, but it shows ${JSON.stringify(found)}`);
}

export const row = (page, role) => page.locator(`[data-role="${role}"]`);
export const cell = (page, role, field) => row(page, role).locator(`[data-field="${field}"]`);
export const button = (scope, action) => scope.locator(`button[data-action="${action}"]`);
export const dialog = (page, name) => page.locator(`dialog[open][data-dialog="${name}"]`);
export const gone = locator => locator.waitFor({ state: "detached" });

// Goes to one of the views by its tab.
export async function view(page, name) {
    await page.locator(`[role=tab][data-tab="${name}"]`).click();
    const panel = page.locator(`[role=tabpanel][data-view="${name}"]`);
    await panel.waitFor();
    return panel;
}

// Presses the button that does what the dialog asks about, and waits until the dialog is gone.
export async function confirm(page, name) {
    await dialog(page, name).locator("[data-confirm]").click();
    await gone(page.locator(`dialog[data-dialog="${name}"]`));
}

// The page about one role.
export async function details(page, role) {
    await row(page, role).first().getByRole("link", { name: role }).click();
    const panel = page.locator("[data-view=details]");
    await panel.waitFor();
    return panel;
}
