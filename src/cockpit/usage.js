/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CPU and memory of the scopes, from their control groups, as architectctl top reads them. One process reads those
 * of all rows that somebody sees, every few seconds. */

/* global cockpit */

const EVERY_MS = 3000;
/* A number of CPU time is a percentage only together with the one before it. */
const SECOND_MS = 900;

/* The second hierarchy is that of a machine with cgroup v1 beside v2. */
const SCRIPT = `
cd /sys/fs/cgroup || exit
for cgroup; do
        cpu= memory= word= value=
        for file in ".$cgroup/cpu.stat" "./unified$cgroup/cpu.stat"; do
                [ -e "$file" ] || continue
                while read -r word value; do
                        [ "$word" != usage_usec ] || cpu=$value
                done <"$file"
                break
        done
        if [ -e ".$cgroup/memory.current" ]; then
                read -r memory <".$cgroup/memory.current"
        elif [ -e "./memory$cgroup/memory.usage_in_bytes" ]; then
                read -r memory <"./memory$cgroup/memory.usage_in_bytes"
        fi
        echo "\${cpu:--} \${memory:--}"
done
read -r uptime rest </proc/uptime
echo "$uptime"
`;

export class Usage {
    constructor(node) {
        this.node = node;
        this.next = 0;
        this.busy = false;
    }

    soon() {
        this.next = Math.min(this.next, performance.now() + 200);
    }

    /* Returns whether there are new numbers. */
    async read(view) {
        if (this.busy || performance.now() < this.next || !view?.forEachVisible)
            return false;
        const roles = new Set();
        view.forEachVisible(role => {
            if (role.ControlGroup && role.State !== "ended")
                roles.add(role);
        });
        this.next = performance.now() + EVERY_MS;
        if (roles.size === 0)
            return false;
        this.busy = true;
        try {
            const list = [...roles];
            const text = await cockpit.spawn(["sh", "-c", SCRIPT, "sh", ...list.map(r => r.ControlGroup)],
                { err: "ignore" });
            const lines = text.trim().split("\n");
            const time = parseFloat(lines[list.length]) * 1e6;
            list.forEach((role, i) => this.note(role, lines[i], time));
            if (list.some(role => role.usage.cpu === undefined))
                this.next = performance.now() + SECOND_MS;
        } catch (error) {
            /* A host without these files shows no numbers. */
        } finally {
            this.busy = false;
        }
        return true;
    }

    /* The first number tells nothing about the present; the next one does. */
    note(role, line, time) {
        const [cpu, memory] = line.split(" ");
        const old = role.usage;
        const usage = { run: role.InvocationID, time, cpuUsec: parseInt(cpu), memory: memory === "-" ? null : parseInt(memory) };

        if (old && old.run === usage.run && time > old.time && !isNaN(usage.cpuUsec) && !isNaN(old.cpuUsec))
            usage.cpu = Math.max(0, usage.cpuUsec - old.cpuUsec) / (time - old.time) * 100;
        if (old?.run === usage.run && time - old.time < 500000 && old.cpu !== undefined)
            usage.cpu = old.cpu;
        role.usage = usage;
    }
}
