/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs "beat" and "monitor-timeout". */

#include <inttypes.h>
#include <stdio.h>

#include "base/parse-util.h"
#include "base/time-util.h"
#include "ctl/baton.h"
#include "ctl/connection.h"
#include "ctl/json.h"
#include "ctl/lease.h"
#include "ctl/verb.h"
#include "ctl/words.h"
#include "util/autoptr.h"

/* After a beat that has failed the next one does not wait for its time, because the monitor counts. */
#define BEAT_AGAIN_USEC USEC_PER_SEC

typedef struct Beat {
        Ctl *ctl;
        const char *lease; /* NULL: of the monitor */
        uint64_t token, within_usec;
        uint64_t n_failed; /* one after the other, up to now */
        char *reason;      /* the error of the last of them that was told */
} Beat;

/* -- the regular beat -- */

/* Whatever else happens may be over at the next beat. */
static bool beat_is_hopeless(const sd_bus_error *error) {
        const CtlExit e = ctl_error_to_exit(error->name);

        return e == CTL_EXIT_NOT_PERMITTED || e == CTL_EXIT_USAGE ||
               sd_bus_error_has_names(error, SD_BUS_ERROR_UNKNOWN_METHOD, SD_BUS_ERROR_UNKNOWN_INTERFACE);
}

static CtlExit beat_failed(Beat *beat, const sd_bus_error *error) {
        CtlExit e = CTL_EXIT_FAILED;

        /* One message for as long as the reason is the same: a service that ends in the middle of a beat has
         * not answered, and does not run at the next one. */
        beat->n_failed++;
        if (g_strcmp0(beat->reason, error->name) != 0) {
                e = ctl_report(beat->ctl, NULL, error);
                g_free(beat->reason);
                beat->reason = g_strdup(error->name);
        }
        if (beat_is_hopeless(error))
                return e;
        if (beat->n_failed == 1)
                ctl_say(beat->ctl, "No beat has arrived. It is tried again each second.");
        return CTL_EXIT_OK;
}

static void beat_succeeded(Beat *beat) {
        if (beat->n_failed > 0)
                ctl_say(beat->ctl, "Beats arrive again, after %" PRIu64 " that did not.", beat->n_failed);
        beat->n_failed = 0;
        g_clear_pointer(&beat->reason, g_free);
}

static CtlExit beat_new_call(const Beat *beat, sd_bus_message **ret) {
        return beat->lease ? ctl_new_call(beat->ctl, ret, "BeatLease", "stt", beat->lease, beat->token,
                                     beat->within_usec)
                           : ctl_new_call(beat->ctl, ret, "Beat", NULL);
}

/* Returns an error only if no beat can ever arrive. */
static CtlExit beat_once(Beat *beat) {
        g_autoptr(sd_bus_message) call = NULL;
        g_auto(sd_bus_error) error = SD_BUS_ERROR_NULL;
        Ctl *ctl = beat->ctl;

        const CtlExit e = beat_new_call(beat, &call);
        if (e != CTL_EXIT_OK) {
                beat->n_failed++;
                return e == CTL_EXIT_USAGE || ctl->cancelled ? e : CTL_EXIT_OK;
        }
        int r = ctl_try(ctl, call, &error, NULL);
        if (r >= 0) {
                beat_succeeded(beat);
                return CTL_EXIT_OK;
        }
        if (sd_bus_is_open(ctl->bus) <= 0)
                ctl_disconnect(ctl);
        return beat_failed(beat, &error);
}

/* A connection that is lost meanwhile is made again for the next beat, which is due at once then. */
static void beat_wait(Ctl *ctl, uint64_t until_usec) {
        const bool never = false;

        if (ctl->bus) {
                if (ctl_run_until_time(ctl, &never, until_usec) != CTL_EXIT_OK)
                        ctl_disconnect(ctl);
                return;
        }
        while (now_usec(CLOCK_MONOTONIC) < until_usec)
                (void) baton_poll(-1, 0, until_usec);
}

static CtlExit beat_regularly(Beat *beat, uint64_t every_usec) {
        Ctl *ctl = beat->ctl;

        /* A service that does not reply must not hold up the beats for longer than it takes to miss one. */
        if (ctl->timeout_usec == 0)
                ctl->timeout_usec = MAX(every_usec, BEAT_AGAIN_USEC);
        ctl->auto_start = false; /* one that was stopped stays stopped */
        ctl_end_on_signals();
        for (;;) {
                const uint64_t begin = now_usec(CLOCK_MONOTONIC);

                CtlExit e = beat_once(beat);
                if (e != CTL_EXIT_OK) {
                        g_free(beat->reason);
                        return e;
                }
                beat_wait(ctl,
                        usec_add(begin, beat->n_failed > 0 ? MIN(every_usec, BEAT_AGAIN_USEC) : every_usec));
        }
}

static CtlExit beat_send(const Beat *beat) {
        g_autoptr(sd_bus_message) call = NULL;

        CtlExit e = beat_new_call(beat, &call);
        return e == CTL_EXIT_OK ? ctl_send_about(beat->ctl, call, NULL, NULL) : e;
}

static CtlExit beat_parse_every(const char *verb, const char *text, uint64_t *ret) {
        if (parse_time(text, USEC_PER_SEC, ret) < 0 || *ret < 10 * USEC_PER_MSEC || *ret == USEC_INFINITY)
                return ctl_usage(verb, "--every=%s is not a time such as 5s, from 10ms on", text);
        return CTL_EXIT_OK;
}

CtlExit verb_beat(Ctl *ctl, int argc, char *argv[]) {
        enum { ARG_EVERY = CTL_OPTION_OWN, ARG_LEASE, ARG_TOKEN, ARG_WITHIN };
        static const struct option options[] = {
                { "every", required_argument, NULL, ARG_EVERY },
                { "lease", required_argument, NULL, ARG_LEASE },
                { "token", required_argument, NULL, ARG_TOKEN },
                { "within", required_argument, NULL, ARG_WITHIN },
                { 0 },
        };
        Beat beat = { .ctl = ctl, .within_usec = LEASE_WITHIN_DEFAULT_USEC };
        const char *needs_lease = NULL;
        CtlExit e = CTL_EXIT_OK;
        uint64_t every_usec = 0;
        int c = 0;

        while (e == CTL_EXIT_OK && (c = ctl_getopt(ctl, argc, argv, NULL, options, &e)) >= 0)
                switch (c) {
                case ARG_EVERY:
                        e = beat_parse_every(argv[0], optarg, &every_usec);
                        break;
                case ARG_LEASE:
                        beat.lease = optarg;
                        break;
                case ARG_TOKEN:
                        needs_lease = "--token";
                        e = lease_parse_token(argv[0], optarg, &beat.token);
                        break;
                default:
                        needs_lease = "--within";
                        e = lease_parse_within(argv[0], optarg, &beat.within_usec);
                        break;
                }
        if (e == CTL_EXIT_OK && c != CTL_OPTION_EXIT)
                e = ctl_check_arguments(argc, argv, 0, 0);
        if (c == CTL_OPTION_EXIT || e != CTL_EXIT_OK)
                return e;
        if (needs_lease && !beat.lease)
                return ctl_usage(argv[0], "%s= needs --lease=", needs_lease);
        return every_usec > 0 ? beat_regularly(&beat, every_usec) : beat_send(&beat);
}

/* -- monitor-timeout -- */

static CtlExit timeout_show(Ctl *ctl) {
        g_autoptr(sd_bus_message) reply = NULL;
        uint64_t usec;

        CtlExit e = ctl_get_property(ctl, "MonitorTimeoutUSec", "t", &reply);
        if (e != CTL_EXIT_OK)
                return e;
        int r = sd_bus_message_read(reply, "t", &usec);
        if (r < 0)
                return ctl_bad_reply(r);
        if (ctl->json != CTL_JSON_OFF) {
                g_autofree char *number = g_strdup_printf("%" PRIu64, usec);

                json_print(number, ctl->json);
        } else {
                g_autofree char *span = words_span(usec);

                (void) puts(usec == 0 ? "off" : span);
        }
        return CTL_EXIT_OK;
}

CtlExit verb_monitor_timeout(Ctl *ctl, int argc, char *argv[]) {
        uint64_t usec;
        CtlExit e;

        if (!ctl_begin(ctl, argc, argv, 0, 1, &e))
                return e;
        if (optind == argc)
                return timeout_show(ctl);
        const char *text = argv[optind];
        /* What is shown can be given. */
        if (g_str_equal(text, "off"))
                usec = 0;
        else if (parse_time(text, USEC_PER_SEC, &usec) < 0)
                return ctl_usage(argv[0], "\"%s\" is not a time such as 30s or 1min, or \"off\"", text);
        return ctl_call(ctl, NULL, "SetMonitorTimeout", "t", usec == USEC_INFINITY ? 0 : usec);
}
