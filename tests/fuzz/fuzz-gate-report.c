/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The reports that a child sends through its gate. A packet that is accepted as a report consists of a string
 * and numbers, and is accepted again. */

#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "proto/launch-request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct gate_report report = { .text = "untouched" }, again;
        const char *stage;
        int r = gate_report_parse(data, size, &report);

        if (r < 0) {
                fuzz_check(r == -EBADMSG && strcmp(report.text, "untouched") == 0);
                return 0;
        }

        fuzz_check(size == sizeof(report) && report.magic == GATE_MAGIC);
        fuzz_check(report.error <= 0 && report.error > -4096);
        fuzz_check(memchr(report.text, '\0', sizeof(report.text)));
        stage = launch_stage_to_string((LaunchStage) report.stage);
        fuzz_check(!stage || (uint32_t) launch_stage_from_string(stage) == report.stage);
        fuzz_check(gate_report_parse(&report, sizeof(report), &again) == 0);
        fuzz_check(memcmp(&report, &again, sizeof(report)) == 0);
        return 0;
}
