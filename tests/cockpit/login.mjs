// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The log-in, as a person sees it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { PASSWORD, newPage } from "./browser.mjs";

test("log-in by name and password", async () => {
    const page = await newPage("");
    await page.goto("/system/services");
    await page.getByLabel("User name").fill("alice");
    await page.getByLabel("Password").first().fill(PASSWORD);
    await page.keyboard.press("Enter");
    await page.frameLocator("iframe[name='cockpit1:localhost/system/services']").getByText("architect-node").first().waitFor();
    assert.equal(page.url(), "http://127.0.0.1:9090/system/services");
    await page.context().close();
});
