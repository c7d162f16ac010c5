// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The log-in, as a person sees it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PASSWORD, PATIENCE, gone, shows, withPage } from "./browser.mjs";
import { clear, ctl, defineOnly } from "./service.mjs";

// In Cockpit's own frame, where its menu has the page and its button gives administrative access.
const NAME = "from the log-in to a role that is stopped";

test(NAME, { timeout: 4 * PATIENCE }, async () => {
    await defineOnly({});
    await ctl("start", "camera", "sleep", "infinity");
    await withPage(NAME, "", {}, async page => {
        await page.goto("/");
        await page.getByLabel("User name").fill("alice");
        await page.getByLabel("Password").first().fill(PASSWORD);
        await page.keyboard.press("Enter");
        await page.getByRole("link", { name: "Architect" }).click();

        const frame = page.frameLocator("iframe[name='cockpit1:localhost/architect']");
        const stop = frame.locator("[data-role=camera] button[data-action=stop]");
        await stop.and(frame.locator("[data-right=no]")).waitFor();
        await page.getByRole("button", { name: "Limited access" }).click();
        await page.getByRole("dialog").getByLabel(/password/i).first().fill(PASSWORD);
        await page.getByRole("dialog").getByRole("button", { name: "Authenticate" }).click();
        await gone(page.getByRole("dialog"));
        await stop.and(frame.locator("[data-right=yes]")).click();
        await frame.locator("dialog [data-confirm]").click();
        await shows(frame.locator("[data-role=camera] [data-field=exit]"), "SIGTERM, cause stop");
        assert.match(page.url(), /\/architect(#|$)/);
        // What Cockpit's own pages have to say on the console is not our business.
        page.complaints.length = 0;
    });
    await clear();
});
