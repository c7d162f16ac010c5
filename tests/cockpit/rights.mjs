// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who may not do something sees it before, and why; who needs a password is asked for it.

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";

import { PASSWORD, button, cell, confirm, dialog, forget, load, row, shows, testsWith } from "./browser.mjs";
import { ctl, run, until } from "./service.mjs";

const pageTest = testsWith({ camera: ["Command=sleep infinity"], dome: ["Command=sleep infinity"] });

const greyed = async (scope, action) => {
    const b = button(scope, action);
    await b.and(scope.page?.().locator("[data-right=no]") ?? scope.locator("[data-right=no]")).waitFor();
    assert.equal(await b.isDisabled(), true);
    assert.match(await b.getAttribute("title"), /administrative access/);
};

// By polkit's defaults no session that is not at the console may manage roles of others.
pageTest("buttons that are refused are grey", "bob", async page => {
    await ctl("start", "camera");
    await shows(cell(page, "camera", "state"), "running");
    for (const [scope, action] of [[row(page, "camera"), "stop"], [page, "start-definition"]])
        await greyed(scope, action);
    await ctl("stop", "camera");
    await shows(cell(page, "camera", "state"), "ended");
    await greyed(row(page, "camera"), "start");
    // To look is free.
    assert.equal(await button(row(page, "camera"), "log").isEnabled(), true);
});

// A rule of the site may change between the look and the click. The service decides at the click.
pageTest("a refusal by the service is shown as it says it", "bob", async page => {
    await ctl("start", "camera");
    const stop = button(row(page, "camera"), "stop");
    await stop.and(page.locator("[data-right=no]")).waitFor();
    await stop.evaluate(b => { b.disabled = false });
    await stop.click();
    await dialog(page, "stop").locator("[data-confirm]").click();
    await shows(dialog(page, "stop").getByRole("alert"),
        "The caller, uid 1002, may not stop roles: polkit refuses org.architect.node.manage-roles");
    await page.keyboard.press("Escape");
    await dialog(page, "stop").waitFor({ state: "hidden" });
    await shows(cell(page, "camera", "state"), "running");
});

pageTest("administrative access by password", "limited", async page => {
    await ctl("start", "camera");
    await greyed(row(page, "camera"), "stop");
    await button(page, "superuser").click();

    await dialog(page, "superuser").locator("input").fill("wrong");
    await dialog(page, "superuser").locator("[data-confirm]").click();
    await dialog(page, "superuser").getByRole("alert").waitFor();
    await dialog(page, "superuser").locator("input").fill(PASSWORD);
    await dialog(page, "superuser").locator("[data-confirm]").click();

    await button(row(page, "camera"), "stop").and(page.locator("[data-right=yes]")).click();
    await confirm(page, "stop");
    await shows(cell(page, "camera", "state"), "ended");
    await button(page, "superuser").waitFor({ state: "hidden" });
    forget("limited");
});

// What polkit says about roles of others by a rule of the site, with the page that is loaded afterwards.
const RULES = "/etc/polkit-1/rules.d/40-cockpit-test.rules";

async function withRule(page, result, body) {
    const permitted = async () => (await run("runuser", "-u", "bob", "--", "busctl", "call",
        "org.architect.Node", "/org/architect/Node",
        "org.architect.Node", "GetPermissions", "sa{sv}", "camera", "0")).match(/manage-roles" "(\w+)"/)[1];
    const before = await permitted();
    writeFileSync(RULES, `polkit.addRule(function(action, subject) {
        if (action.id == "org.architect.node.manage-roles")
            return polkit.Result.${result};
    });\n`);
    try {
        // polkitd reads it when it hears of it. The service limits the calls of a user.
        await until(async () => await permitted() !== before, 300);
        await load(page);
        await body();
    } finally {
        rmSync(RULES);
        await until(async () => await permitted() === before, 300);
    }
}

pageTest("a rule of the site permits it without a password", "bob", async page => {
    await ctl("start", "camera");
    await withRule(page, "YES", async () => {
        await button(row(page, "camera"), "stop").and(page.locator("[data-right=yes]")).click();
        await confirm(page, "stop");
        await shows(cell(page, "camera", "state"), "ended");
        // and nothing else
        await greyed(row(page, "camera"), "start");
    });
});

pageTest("a rule of the site permits it with a password", "limited", async page => {
    await ctl("start", "camera");
    await withRule(page, "AUTH_ADMIN", async () => {
        const stop = button(row(page, "camera"), "stop");
        await stop.and(page.locator("[data-right=auth]")).click();
        await dialog(page, "superuser").locator("input").fill(PASSWORD);
        await dialog(page, "superuser").locator("[data-confirm]").click();
        await confirm(page, "stop");
        await shows(cell(page, "camera", "state"), "ended");
    });
    forget("limited");
});
