// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A reporter of node's test runner. It prints a line for each test, as the other stages of tools/test do, why a
// test has failed, and at the end the counts.

import { inspect } from "node:util";

const seconds = event => (event.details.duration_ms / 1000).toFixed(1) + " s";

// The assertion, and where it is, without the frames of the runner. tools/lib/reasons.sh finds it by "error: ".
function reason(error) {
    const cause = error.cause instanceof Error ? error.cause : error;
    const text = cause instanceof Error ? cause.stack ?? String(cause) : inspect(cause);
    return "error: " + text.replace(/^Error: /, "").split("\n").filter(line =>
        !/^\s+at .*node:internal/.test(line)).join("\n");
}

export default async function* report(events) {
    let passed = 0, failed = 0, skipped = 0;

    for await (const event of events) {
        const { type, data } = event;
        if (type === "test:diagnostic" || data?.nesting > 0)
            continue;
        if (type === "test:pass" && data.skip !== undefined) {
            skipped++;
            yield `SKIPPED ${data.name}\n`;
        } else if (type === "test:pass") {
            passed++;
            yield `ok      ${data.name} (${seconds(data)})\n`;
        } else if (type === "test:fail") {
            failed++;
            yield `FAILED  ${data.name} (${seconds(data)})\n`;
            yield reason(data.details.error).replace(/^/gm, "        | ") + "\n";
        }
    }
    yield `${passed} passed, ${failed} failed, ${skipped} skipped\n`;
}
