/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The words of architectctl, so that the page and the terminal say the same. src/ctl/words.c and status.c have
 * them first. All values come as the bus has them: microseconds, and 18446744073709551615 for "infinity",
 * which is a number that JavaScript rounds. */

const SIGNALS = [
    null, "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM",
    "PROF", "WINCH", "POLL", "PWR", "SYS",
];

/* Some bridges pass the highest number of 64 bits on as a float, some as -1. */
export function isInfinite(usec) {
    return usec < 0 || usec >= 2 ** 63;
}

const UNITS = [["d", 86400e6], ["h", 3600e6], ["min", 60e6], ["s", 1e6], ["ms", 1e3], ["us", 1]];

export function span(usec) {
    if (isInfinite(usec))
        return "infinity";
    for (let i = 0; i < UNITS.length; i++) {
        const [name, unit] = UNITS[i];
        if (usec < unit)
            continue;
        const n = Math.floor(usec / unit);
        const rest = i > 2 ? 0 : Math.floor((usec % unit) / UNITS[i + 1][1]);
        return rest === 0 ? `${n}${name}` : `${n}${name} ${rest}${UNITS[i + 1][0]}`;
    }
    return "0";
}

/* As span(), for what is counted every second: nothing smaller than that. */
export function spanSeconds(usec) {
    return isInfinite(usec) ? "infinity" : usec < 1e6 ? "0s" : span(usec);
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

function two(n) {
    return String(n).padStart(2, "0");
}

export function clock(usec) {
    const t = new Date(usec / 1000);
    return `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;
}

export function timestamp(usec) {
    if (!usec)
        return "-";
    const t = new Date(usec / 1000);
    return `${WEEKDAYS[t.getDay()]} ${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clock(usec)}`;
}

export function signalName(n) {
    return SIGNALS[n] ? `SIG${SIGNALS[n]}` : `signal ${n}`;
}

export function end(code, status) {
    switch (code) {
    case "exited":
        return `exit ${status}`;
    case "killed":
        return signalName(status);
    case "dumped":
        return `${signalName(status)}, core dumped`;
    default:
        return code || "-";
    }
}

/* What a cause means, for those who do not know the word. */
const CAUSES = {
    self: "it ended by itself",
    stop: "somebody has stopped it",
    kill: "somebody has killed it",
    monitor: "its manager did not beat in time",
    shutdown: "the service was shut down",
    timeout: "it was not ready, or not done, in time",
    watchdog: "its watchdog did not hear from it in time",
    dependency: "a role that it depends on has ended or was stopped",
    oom: "the kernel has ended it, because memory had run out",
    external: "another program has ended it",
};

export function cause(word) {
    return CAUSES[word] ?? "";
}

export function size(bytes) {
    if (bytes === null || bytes === undefined || isInfinite(bytes))
        return "-";
    let value = bytes;
    let i = 0;
    for (; value >= 1024 && i < 6; i++)
        value /= 1024;
    return i === 0 ? `${bytes}B` : `${value.toFixed(1)}${"BKMGTPE"[i]}`;
}

export function percent(value) {
    return value === undefined ? "-" : `${value.toFixed(value < 99.95 ? 1 : 0)}%`;
}

/* A terminal would act on control characters; a page only shows nothing for them. */
export function escape(text) {
    return text.replace(/[\x00-\x1f\x7f]/g, c => `\\x${two(c.charCodeAt(0).toString(16))}`);
}

/* -- roles, with the properties of org.architect.Node.Role; one that is partial has those of ListRoles -- */

export function roleIsUp(role) {
    return role.State !== "ended" || !!role.Ready;
}

export function roleHasFailed(role) {
    return !role.partial && !roleIsUp(role) && !role.NextStartUSec && role.Result !== "success" &&
        !["stop", "kill", "shutdown"].includes(role.Cause);
}

/* good, bad, other or none, as the colours of architectctl status. */
export function roleLook(role) {
    if (role.State !== "ended")
        return role.State === "running" && !role.Frozen && role.Ready !== false ? "good" : "other";
    if (role.Ready)
        return "good";
    if (role.NextStartUSec)
        return "other";
    return roleHasFailed(role) ? "bad" : "none";
}

export function roleState(role) {
    if (role.State !== "ended" && role.Frozen)
        return `${role.State} (frozen)`;
    return role.State;
}

export function roleSince(role) {
    return role.State === "ended" ? role.ExitTimestamp : role.StartTimestamp;
}

export function roleEnd(role) {
    if (role.State !== "ended")
        return "-";
    const how = end(role.ExitCode, role.ExitStatus);
    return role.Cause ? `${how}, cause ${role.Cause}` : how;
}

export function roleNext(role, now) {
    if (!role.NextStartUSec)
        return role.WaitsFor ? `waits for ${role.WaitsFor}` : "-";
    if (isInfinite(role.NextStartUSec))
        return `when ${role.WaitsFor || "another role"} is ready`;
    return `in ${spanSeconds(Math.max(0, role.NextStartUSec - now))}`;
}

/* -- commands -- */

export function command(argv) {
    return argv.map(word => /^[A-Za-z0-9%+,\-./:=@_]+$/.test(word) ? word
        : `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

/* Words as a shell has them, with quotes and backslashes, and nothing is expanded. Returns null if a quote is
 * not closed. */
export function words(line) {
    const argv = [];
    let word = null;
    let quote = "";
    for (let i = 0; i < line.length; i++) {
        const c = line[i];
        if (quote === "'") {
            if (c === "'")
                quote = "";
            else
                word += c;
        } else if (c === "\\" && i + 1 < line.length && (!quote || '"\\$`'.includes(line[i + 1]))) {
            word = (word ?? "") + line[++i];
        } else if (quote) {
            if (c === '"')
                quote = "";
            else
                word += c;
        } else if (c === "'" || c === '"') {
            quote = c;
            word ??= "";
        } else if (/\s/.test(c)) {
            if (word !== null)
                argv.push(word);
            word = null;
        } else {
            word = (word ?? "") + c;
        }
    }
    if (quote)
        return null;
    if (word !== null)
        argv.push(word);
    return argv;
}

/* -- events -- */

/* As architectctl monitor has it. A later version of the service may have others. */
export function eventText(name, details) {
    const get = (key, other) => details[key]?.v ?? other;
    switch (name) {
    case "RoleStarted":
        return `pid ${get("pid", 0)}, user ${get("user", "not known")}`;
    case "RoleExited":
        return `${end(get("code", ""), get("status", -1))}, cause ${get("cause", "not known")}`;
    case "RoleRestarting":
        return isInfinite(get("delay-usec", 0)) ? `attempt ${get("attempt", 0)}, waits for another role`
            : `attempt ${get("attempt", 0)} in ${span(get("delay-usec", 0))}`;
    case "MonitorTimedOut":
        return `no beat for ${span(get("timeout-usec", 0))}`;
    case "LeaseExpired":
        return `lease ${get("lease", "")}, no beat for ${span(get("timeout-usec", 0))}`;
    default:
        return get("result", get("reason", ""));
    }
}
