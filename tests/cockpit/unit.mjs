// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The modules of the page that need no browser, as they are installed.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, writeFileSync } from "node:fs";
import { test } from "node:test";

// node takes a file called .js for a module if a package.json says so, which a page of Cockpit has not.
const installed = mkdtempSync("/var/tmp/cockpit-unit-");
cpSync("/usr/share/cockpit/architect", installed, { recursive: true, dereference: true });
writeFileSync(`${installed}/package.json`, '{"type": "module"}\n');

const words = await import(`${installed}/words.js`);

const INFINITY = 18446744073709551615;

test("spans of time, as architectctl writes them", () => {
    const second = 1e6, minute = 60 * second, hour = 60 * minute, day = 24 * hour;
    const expected = [
        [0, "0"], [1, "1us"], [999, "999us"], [1000, "1ms"], [1999, "1ms"], [second, "1s"],
        [59 * second + 999999, "59s"], [minute, "1min"], [minute + second, "1min 1s"], [hour - 1, "59min 59s"],
        [hour, "1h"], [hour + minute, "1h 1min"],
        [hour + 59 * second, "1h"], [day, "1d"], [2 * day + 3 * hour + minute, "2d 3h"], [400 * day, "400d"],
        [INFINITY, "infinity"], [-1, "infinity"],
    ];
    for (const [usec, text] of expected)
        assert.equal(words.span(usec), text, String(usec));
    assert.equal(words.spanSeconds(999999), "0s");
    assert.equal(words.spanSeconds(minute + 1), "1min");
    assert.equal(words.spanSeconds(INFINITY), "infinity");
});

test("sizes", () => {
    const expected = [
        [0, "0B"], [1023, "1023B"], [1024, "1.0K"], [1536, "1.5K"], [5 << 20, "5.0M"], [2 ** 40, "1.0T"],
        [INFINITY, "-"], [undefined, "-"], [null, "-"],
    ];
    for (const [bytes, text] of expected)
        assert.equal(words.size(bytes), text, String(bytes));
});

test("ends", () => {
    const expected = [
        ["exited", 0, "exit 0"], ["exited", 255, "exit 255"], ["killed", 15, "SIGTERM"], ["killed", 9, "SIGKILL"],
        ["killed", 34, "signal 34"], ["dumped", 11, "SIGSEGV, core dumped"], ["lost", -1, "lost"], ["", 0, "-"],
    ];
    for (const [code, status, text] of expected)
        assert.equal(words.end(code, status), text);
});

// The names that the C library has for the signals, which architectctl prints.
test("names of signals", () => {
    const names = execFileSync("bash", ["-c", "for ((i = 1; i < 32; i++)); do kill -l $i; done"],
        { encoding: "utf8" }).trim().split("\n");
    // bash has the older name of this one.
    names.forEach((name, i) => assert.equal(words.end("killed", i + 1), name === "IO" ? "SIGPOLL" : `SIG${name}`));
});

const RUNNING = { State: "running", Ready: true, Result: "success", Cause: "", NextStartUSec: 0 };
const ENDED = { State: "ended", Ready: false, Result: "success", Cause: "self", NextStartUSec: 0,
    ExitCode: "exited", ExitStatus: 0 };

test("how a role looks", () => {
    const looks = [
        [RUNNING, "good"], [{ ...RUNNING, Frozen: true }, "other"], [{ ...RUNNING, Ready: false }, "other"],
        [{ ...RUNNING, State: "stopping" }, "other"], [{ ...RUNNING, State: "starting", Ready: false }, "other"],
        [ENDED, "none"], [{ ...ENDED, Ready: true }, "good"],
        [{ ...ENDED, Result: "exit-code", ExitStatus: 3 }, "bad"],
        [{ ...ENDED, Result: "exit-code", ExitStatus: 3, NextStartUSec: 5 }, "other"],
        // Whoever has stopped it knows.
        [{ ...ENDED, Result: "signal", ExitCode: "killed", ExitStatus: 15, Cause: "stop" }, "none"],
        [{ ...ENDED, Result: "signal", ExitCode: "killed", ExitStatus: 9, Cause: "kill" }, "none"],
        [{ ...ENDED, Result: "signal", ExitCode: "killed", ExitStatus: 15, Cause: "shutdown" }, "none"],
        [{ ...ENDED, Result: "watchdog", ExitCode: "killed", ExitStatus: 6, Cause: "watchdog" }, "bad"],
    ];
    for (const [role, look] of looks)
        assert.equal(words.roleLook(role), look, JSON.stringify(role));
    assert.equal(words.roleState({ ...RUNNING, Frozen: true }), "running (frozen)");
    assert.equal(words.roleState({ ...ENDED, Frozen: true }), "ended");
    assert.equal(words.roleEnd(RUNNING), "-");
    assert.equal(words.roleEnd({ ...ENDED, ExitStatus: 3 }), "exit 3, cause self");
});

test("when a role starts again", () => {
    assert.equal(words.roleNext(RUNNING, 0), "-");
    assert.equal(words.roleNext({ ...RUNNING, WaitsFor: "mount" }, 0), "waits for mount");
    assert.equal(words.roleNext({ ...ENDED, NextStartUSec: 12e6 }, 2e6), "in 10s");
    // It is due, and the signal that it has started is under way.
    assert.equal(words.roleNext({ ...ENDED, NextStartUSec: 1e6 }, 2e6), "in 0s");
    assert.equal(words.roleNext({ ...ENDED, NextStartUSec: INFINITY, WaitsFor: "hub" }, 2e6), "when hub is ready");
});

// A shell takes a command that is shown for the same words, and so does the page.
test("commands are quoted as for a shell", () => {
    const letters = ["a", "Z", "7", " ", "'", '"', "\\", "$", "`", "<b>", "&", ";", "\n", "\t", "*", "~", "é",
        "", "-x", "#"];
    let seed = 1;
    const random = n => (seed = seed * 48271 % 2147483647) % n;
    for (let i = 0; i < 300; i++) {
        const argv = Array.from({ length: 1 + random(4) }, () => Array.from({ length: random(6) }, () =>
            letters[random(letters.length)]).join(""));
        const line = words.command(argv);
        assert.deepEqual(words.words(line), argv, line);
        if (i < 30) {
            const seen = execFileSync("sh", ["-c", `printf '%s\\0' ${line}`],
                { encoding: "utf8" }).split("\0").slice(0, -1);
            assert.deepEqual(seen, argv, line);
        }
    }
});

test("words of a command line", () => {
    const expected = [
        ["", []], ["  ", []], ["a b", ["a", "b"]], ["a  'b c' d", ["a", "b c", "d"]], ['a "b \\" c"', ["a", 'b " c']],
        ["''", [""]], ["a\\ b", ["a b"]], ['"a\\b"', ["a\\b"]], ["x'y'\"z\"", ["xyz"]], ["'a", null], ['"a', null],
        ["$HOME", ["$HOME"]],
    ];
    for (const [line, argv] of expected)
        assert.deepEqual(words.words(line), argv, line);
});

test("events, as architectctl monitor writes them", () => {
    const value = v => ({ t: "v", v });
    const expected = [
        ["RoleStarted", { pid: value(7), user: value("root") }, "pid 7, user root"],
        ["RoleExited", { code: value("exited"), status: value(3), cause: value("self") }, "exit 3, cause self"],
        ["RoleRestarting", { attempt: value(2), "delay-usec": value(2e6) }, "attempt 2 in 2s"],
        ["RoleRestarting", { attempt: value(2), "delay-usec": value(INFINITY) }, "attempt 2, waits for another role"],
        ["MonitorTimedOut", { "timeout-usec": value(30e6) }, "no beat for 30s"],
        ["LeaseExpired", { lease: value("night"), "timeout-usec": value(5e6) }, "lease night, no beat for 5s"],
        ["RoleFailed", { result: value("start-limit-hit") }, "start-limit-hit"],
        ["ShuttingDown", { reason: value("night is over") }, "night is over"],
        ["SomethingNew", {}, ""],
    ];
    for (const [name, details, text] of expected)
        assert.equal(words.eventText(name, details), text, name);
});

test("control characters are shown", () => {
    assert.equal(words.escape("a\x1b[1mb\x7f\n"), "a\\x1b[1mb\\x7f\\x0a");
    assert.equal(words.escape("<b>é"), "<b>é");
});
