// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Runs the tests of the page, in the sandbox. tools/lib/cockpit-tests.sh starts it, with node's reporter.
//
// usage: main.mjs [THEME...]     the files of these names; all of them by default

import { test } from "node:test";

import { closeBrowser } from "./browser.mjs";

// Those that need no browser are first.
const THEMES = ["unit", "login", "list", "actions", "history", "many", "access", "rights", "away"];

const wanted = process.argv.slice(2);
for (const name of wanted) {
    if (!THEMES.includes(name))
        throw new Error(`there is no file of tests '${name}', but ${THEMES.join(", ")}`);
}

// One process, in which one test follows the other, and they share the browser.
for (const name of THEMES) {
    if (wanted.length === 0 || wanted.includes(name))
        await import(`./${name}.mjs`);
}
test("end of the browser", closeBrowser);
