// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What was: the log of a role, its terminal, and the events with their time line.

import assert from "node:assert/strict";

import { button, cell, confirm, details, row, shows, testsWith, view } from "./browser.mjs";
import { ctl, run, systemctl, until } from "./service.mjs";

const pageTest = testsWith({
    camera: ["Command=sh -c 'echo first; while read -r line; do echo \"got $line\"; done'"],
    dome: ["Command=sh -c 'exit 3'"],
    shell: ["Command=sh -c 'stty size; while read -r line; do echo \"<$line>\"; stty size; done'",
        "StandardInput=pty"],
});

pageTest("the log of a role, with what comes", "admin", async page => {
    await ctl("start", "camera");
    await button(row(page, "camera"), "log").click();
    const log = page.locator("[data-log]");
    const lines = log.locator(".line").filter({ hasText: `[${await ctl("show", "-p", "MainPID", "--value", "camera")}]` });
    await shows(lines, /camera\[\d+\]: first$/);
    await ctl("send", "camera", Array.from({ length: 200 }, (_, i) => `line ${i}`).join("\n"));
    await shows(log.locator(".line").last(), /got line 199$/);
    assert.equal(await lines.filter({ hasText: "got line" }).count(), 200);
    // It follows, until somebody scrolls up, and again from the end.
    const atEnd = () => log.evaluate(e => e.scrollTop + e.clientHeight >= e.scrollHeight - 4);
    const follow = page.getByLabel("Follow");
    assert.equal(await atEnd(), true);
    await log.evaluate(e => { e.scrollTop = 0 });
    await until(async () => !await follow.isChecked());
    await ctl("send", "camera", "one more");
    await shows(log.locator(".line").last(), /got one more$/);
    assert.equal(await atEnd(), false);
    await follow.check();
    assert.equal(await atEnd(), true);
    // What the service says about the role is between the lines.
    await ctl("kill", "camera");
    await shows(log.locator(".line[data-service]").last(), /camera/);
    // Nothing is left of it.
    await page.getByRole("link", { name: /All roles/ }).click();
    await row(page, "camera").waitFor();
    await until(async () => (await run("pgrep", "-fc", "^architectctl.* logs --follow").catch(() => "0")) === "0");
});

// Whatever version of xterm.js draws, the text is in the page, for screen readers.
const onScreen = (page, pattern) => shows(page.locator("[data-terminal]"), pattern);

pageTest("a terminal, there and back", "admin", async page => {
    await ctl("start", "shell");
    const panel = await details(page, "shell");
    await button(panel, "terminal").click();
    await page.locator("[data-terminal] :focus").waitFor({ state: "attached" });
    await page.keyboard.type("hello world ");
    // As from a keyboard that has such a key, which this one has not.
    const keyboard = await page.context().newCDPSession(page);
    await keyboard.send("Input.dispatchKeyEvent", { type: "keyDown", key: "é", text: "é", unmodifiedText: "é" });
    await page.keyboard.press("Enter");
    await onScreen(page, /<hello world é>/);
    // The role has the size of what is seen.
    const size = async () => (await run("sh", "-c", 'stty size <"/proc/$1/fd/0"', "sh",
        await panel.locator("[data-field=pid]").textContent()))
        .split(" ").map(Number);
    const [, before] = await size();
    await page.setViewportSize({ width: 700, height: 700 });
    await until(async () => (await size())[1] !== before);
    // The command of the role has a new terminal in its next run.
    await ctl("restart", "shell");
    // It prints the size first. What is blank for a moment is still the one before.
    await onScreen(page, /^(?!.*hello world).*\d+ \d+/s);
    await page.locator("[data-terminal] :focus").waitFor({ state: "attached" });
    await page.keyboard.type("again");
    await page.keyboard.press("Enter");
    await onScreen(page, /<again>/);
    await ctl("kill", "shell");
    await shows(panel, /The role has ended/);
    await page.getByRole("link", { name: /All roles/ }).click();
    await row(page, "shell").waitFor();
    await until(async () => (await run("pgrep", "-fc", "^architectctl.* attach").catch(() => "0")) === "0");
});

pageTest("the events, and each one that comes", "admin", async page => {
    const panel = await view(page, "events");
    const events = name => panel.locator(`tr[data-event="${name}"]`);
    const newest = panel.locator("tbody tr").first();

    await panel.locator("#events-range").selectOption("hour");
    await ctl("start", "camera");
    await shows(newest, /RoleStarted ?camera ?pid \d+, user root$/);
    await ctl("start", "dome");
    await shows(newest, /RoleExited ?dome ?exit 3, cause self$/);
    assert.equal(await newest.getAttribute("data-look"), "bad");
    await panel.locator("[data-lane=dome] [data-look=bad]").first().waitFor();
    await panel.locator("[data-lane=camera] [data-look=running]").waitFor();

    await panel.locator("#events-kind").selectOption("RoleExited");
    assert.equal(await events("RoleStarted").count(), 0);
    await panel.locator("#events-filter").fill("cam");
    await ctl("kill", "camera");
    await shows(newest, /RoleExited ?camera ?SIGKILL, cause kill$/);
    assert.equal(await panel.locator("tbody tr").filter({ hasText: "dome" }).count(), 0);
    await panel.locator("[data-lane=camera] [data-look=good]").first().waitFor();
});

// The service keeps them, and the page reads what it was not there for.
pageTest("the events of before, over a restart of the service", "admin", async page => {
    await ctl("start", "dome");
    await systemctl("restart", "architect-node.service");
    await ctl("start", "camera");
    const panel = await view(page, "events");
    await panel.locator("#events-range").selectOption("all");
    await shows(panel.locator("tbody tr").nth(0), /RoleStarted ?camera/);
    await shows(panel.locator("tbody tr").nth(1), /RoleExited ?dome ?exit 3/);
    // A signal and what was read are not both shown.
    const seqs = await panel.locator("tbody tr").evaluateAll(rows => rows.map(r => Number(r.dataset.seq)));
    assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => b - a));
    await systemctl("restart", "architect-node.service");
    await ctl("kill", "camera");
    await shows(panel.locator("tbody tr").nth(0), /RoleExited ?camera/);
});
