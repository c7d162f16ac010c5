/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is shown on the desktop and when: the words, how often, what is summed up, what replaces what. */

#include "unit-test.h"

#include <glib.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "config.h"
#include "notify/notify-board.h"
#include "notify/notify-launch.h"
#include "notify/notify-note.h"

#define SEC(n) ((uint64_t) (n) *USEC_PER_SEC)
#define SETTLED(t) ((t) + BOARD_SETTLE_USEC)

static const int origins[2];
#define HERE (&origins[0])
#define THERE (&origins[1])

static int setup(void **state) {
        assert_return_code(setenv("TZ", "UTC", 1), 0);
        return 0;
}

/* -- notes -- */

static Incident exited(const char *role, unsigned kinds, uint64_t seq) {
        return (Incident){
                .seq = seq,
                .realtime_usec = SEC(seq),
                .signal = (char *) "RoleExited",
                .role = (char *) role,
                .kinds = kinds,
                .code = (char *) "exited",
                .status = (int32_t) seq,
                .result = (char *) "exit-code",
                .cause = (char *) "self",
        };
}

#define BIT(kind) INCIDENT_BIT(INCIDENT_##kind)

static Note *failed(uint64_t seq) {
        const Incident incident = exited("guider", BIT(FAILED), seq);

        return note_new_incident(&incident);
}

static Note *gave_up(uint64_t seq) {
        const Incident incident = {
                .seq = seq,
                .realtime_usec = SEC(seq),
                .signal = (char *) "RoleFailed",
                .role = (char *) "guider",
                .kinds = BIT(GAVE_UP),
                .result = (char *) "start-limit-hit",
                .n_restarts = 4,
        };

        return note_new_incident(&incident);
}

static void assert_note(Note *taken, const char *summary, const char *reason, bool critical) {
        g_autoptr(Note) note = taken;

        assert_non_null(note);
        assert_string_equal(note->summary, summary);
        assert_string_equal(note->reason, reason);
        assert_int_equal(note->critical, critical);
}

static void test_notes(void **state) {
        Incident incident = exited("guider", 0, 3);

        assert_null(note_new_incident(&incident));
        assert_note(failed(3), "guider failed", "exit status 3", false);
        incident = exited("guider", BIT(FAILED) | BIT(OOM), 137);
        assert_note(note_new_incident(&incident), "guider ran out of memory", "exit status 137", false);
        incident.kinds = BIT(FAILED) | BIT(LOST);
        incident.code = (char *) "lost";
        assert_note(note_new_incident(&incident), "guider is gone", "how it ended is not known", false);
        assert_note(gave_up(4), "guider gave up", "after 4 restarts: start-limit-hit", true);

        const Incident monitor = { .signal = (char *) "MonitorTimedOut",
                .role = (char *) "",
                .kinds = BIT(MONITOR),
                .timeout_usec = 2500000 };
        assert_note(note_new_incident(&monitor), "The monitor fired", "no beat of the monitor within 2.5 s",
                true);
        Incident lease = monitor;
        lease.lease = (char *) "night";
        assert_note(note_new_incident(&lease), "A lease has expired",
                "no beat of the lease night within 2.5 s", true);
}

/* The message may have the output of a program in it. */
static void test_refused(void **state) {
        g_autofree char *longer = g_strnfill(1000, 'x');
        g_autoptr(Note) note = note_new_refused("guider was not started", longer, 1);

        assert_note(note_new_refused("s", " two\n\tlines\n", 1), "s", "two  lines", false);
        assert_int_equal(strlen(note->reason), 403);
        assert_true(g_str_has_suffix(note->reason, "xx..."));
}

/* -- several notes -- */

static void assert_body(
        const Batch *batch, const char *place, const char *status, bool markup, const char *expected) {
        g_autofree char *body = batch_body(batch, place, status, markup);

        assert_string_equal(body, expected);
}

static void test_batch(void **state) {
        g_auto(Batch) batch = {}, newer = {};

        batch_add(&batch, failed(3));
        assert_body(&batch, NULL, NULL, false, "exit status 3");
        assert_body(&batch, "Your own roles", "", false, "exit status 3\nYour own roles");
        assert_body(&batch, NULL, "lost <b>the</b>\nstar & all", true,
                "exit status 3\n&quot;lost &lt;b&gt;the&lt;/b&gt; star &amp; all&quot;");
        assert_body(&batch, NULL, "<b>", false, "exit status 3\n\"<b>\"");

        /* The newest one of several, and how many there are beside it. */
        batch_add(&batch, failed(4));
        batch_add(&batch, failed(5));
        assert_body(&batch, NULL, NULL, false, "exit status 5\n2 more since 00:00:03");
        /* It is told with the end that it follows, and is not one more. */
        batch_add(&batch, gave_up(6));
        assert_string_equal(batch.note->summary, "guider gave up");
        assert_body(&batch, NULL, NULL, false,
                "exit status 5, after 4 restarts: start-limit-hit\n2 more since 00:00:03");
        /* What is less important does not take its place. */
        batch_add(&batch, failed(7));
        assert_string_equal(batch.note->summary, "guider gave up");
        assert_int_equal(batch.n, 4);
        assert_int_equal(batch.seq, 3);

        /* One that was to be shown goes back to what has come meanwhile. */
        batch_add(&newer, failed(8));
        batch_add_older(&newer, &batch);
        assert_null(batch.note);
        assert_string_equal(newer.note->summary, "guider gave up");
        assert_int_equal(newer.n, 5);
        assert_int_equal(newer.seq, 3);
        assert_int_equal(newer.since_usec, SEC(3));
        batch_add_older(&batch, &newer);
        assert_int_equal(batch.n, 5);
}

/* The answer to a click comes before the failures, and has no number of an event. */
static void test_batch_refused(void **state) {
        g_auto(Batch) batch = {};

        batch_add(&batch, note_new_refused("guider was not started", "no", SEC(1)));
        assert_int_equal(batch.seq, 0);
        batch_add(&batch, failed(9));
        assert_string_equal(batch.note->summary, "guider was not started");
        assert_int_equal(batch.seq, 9);
        assert_body(&batch, NULL, NULL, false, "no\n1 more since 00:00:01");
}

static void test_away(void **state) {
        Away away = {};
        Incident incident;

        assert_null(away_take(&away));
        incident = exited("guider", 0, 1);
        away_add(&away, &incident);
        assert_null(away_take(&away));

        incident = exited("guider", BIT(FAILED), 61);
        away_add(&away, &incident);
        assert_note(
                away_take(&away), "A failure while you were away", "guider, since 1970-01-01 00:01", false);
        assert_null(away_take(&away));

        away_add(&away, &incident);
        for (unsigned i = 0; i < 7; i++) {
                g_autofree char *name = g_strdup_printf("camera%u", i);

                incident = exited(name, BIT(FAILED), 70 + i);
                away_add(&away, &incident);
                away_add(&away, &incident);
        }
        incident = (Incident){
                .role = (char *) "camera0", .signal = (char *) "RoleFailed", .kinds = BIT(GAVE_UP), .seq = 90
        };
        away_add(&away, &incident);
        incident = (Incident){
                .role = (char *) "", .signal = (char *) "MonitorTimedOut", .kinds = BIT(MONITOR), .seq = 91
        };
        away_add(&away, &incident);
        assert_int_equal(away.seq, 61);
        assert_note(away_take(&away), "16 failures while you were away",
                "camera0 (2 times), camera1 (2 times), camera2 (2 times), camera3 (2 times), "
                "camera4 (2 times) and 4 more, since 1970-01-01 00:01",
                true);
}

/* -- when -- */

static BoardEntry *take(Board *board, uint64_t now, uint64_t next) {
        uint64_t found;
        BoardEntry *entry = board_take(board, now, &found);

        if (!entry)
                assert_int_equal(found, next);
        return entry;
}

static void add(Board *board, const void *origin, const char *subject, Note *note, uint64_t now) {
        assert_true(board_add(board, origin, subject, note, now));
}

static void test_rate(void **state) {
        g_autoptr(Board) board = board_new();
        BoardEntry *entry;

        assert_null(take(board, 0, UINT64_MAX));
        /* What its policy decides comes a moment after the end. */
        add(board, HERE, "guider", failed(1), SEC(1));
        assert_null(take(board, SEC(1), SETTLED(SEC(1))));
        add(board, HERE, "guider", gave_up(2), SEC(1) + 1);
        entry = take(board, SETTLED(SEC(1)), 0);
        assert_non_null(entry);
        assert_string_equal(entry->subject, "guider");
        assert_string_equal(entry->batch.note->summary, "guider gave up");
        assert_int_equal(entry->batch.n, 1);
        assert_int_equal(entry->id, 0);

        /* A slow daemon: nothing else is shown for this role, and nothing is lost. */
        add(board, HERE, "guider", failed(3), SEC(2));
        assert_null(take(board, SEC(60), UINT64_MAX));
        add(board, HERE, "camera", failed(4), SEC(60));
        assert_string_equal(take(board, SETTLED(SEC(60)), 0)->subject, "camera");
        board_shown(board, entry, 7, SEC(61));
        assert_null(entry->batch.note);

        /* The next one ten seconds later, in the place of the first one. */
        add(board, HERE, "guider", failed(5), SEC(62));
        assert_null(take(board, SEC(71) - 1, SEC(71)));
        assert_ptr_equal(take(board, SEC(71), 0), entry);
        assert_int_equal(entry->id, 7);
        assert_int_equal(entry->batch.n, 2);
        assert_string_equal(entry->batch.note->reason, "exit status 5");
        board_shown(board, entry, 7, SEC(71));
        /* After a quiet time at once. */
        add(board, HERE, "guider", failed(6), SEC(100));
        assert_ptr_equal(take(board, SETTLED(SEC(100)), 0), entry);
}

/* Each role has its own interval, also the same name of another instance. */
static void test_roles_apart(void **state) {
        g_autoptr(Board) board = board_new();

        add(board, HERE, "guider", failed(1), SEC(1));
        BoardEntry *first = take(board, SEC(2), 0);
        board_shown(board, first, 1, SEC(2));
        add(board, THERE, "guider", failed(1), SEC(2));
        add(board, HERE, "guider", failed(2), SEC(2));
        BoardEntry *other = take(board, SEC(3), 0);
        assert_ptr_equal(other->origin, THERE);
        board_shown(board, other, 2, SEC(3));
        assert_null(take(board, SEC(3), SEC(12)));

        assert_ptr_equal(board_find(board, 1), first);
        assert_ptr_equal(board_find(board, 2), other);
        assert_null(board_find(board, 3));
        assert_null(board_find(board, 0));
        board_forget_ids(board);
        assert_null(board_find(board, 1));
}

static void test_not_shown(void **state) {
        g_autoptr(Board) board = board_new();

        add(board, HERE, "guider", failed(1), SEC(1));
        BoardEntry *entry = take(board, SEC(2), 0);
        add(board, HERE, "guider", failed(2), SEC(2));
        board_not_shown(board, entry);
        assert_ptr_equal(take(board, SEC(3), 0), entry);
        assert_int_equal(entry->batch.n, 2);
        assert_string_equal(entry->batch.note->reason, "exit status 2");
}

/* After a restart of the program nobody knows what it has shown a second ago. */
static void test_hold(void **state) {
        g_autoptr(Board) board = board_new();

        board_hold(board, SEC(15));
        add(board, HERE, "guider", failed(1), SEC(6));
        assert_null(take(board, SEC(14), SEC(15)));
        assert_non_null(take(board, SEC(15), 0));
        add(board, HERE, "camera", failed(2), SEC(20));
        assert_non_null(take(board, SETTLED(SEC(20)), 0));
}

/* What is saved is the position before the first event that was not shown. */
static void test_seqs(void **state) {
        g_autoptr(Board) board = board_new();

        assert_int_equal(board_first_seq(board, HERE), 0);
        add(board, HERE, "guider", failed(5), SEC(1));
        add(board, HERE, "camera", failed(4), SEC(1));
        add(board, THERE, "camera", failed(2), SEC(1));
        assert_int_equal(board_first_seq(board, HERE), 4);
        BoardEntry *entry = take(board, SEC(2), 0);
        while (!g_str_equal(entry->subject, "camera") || entry->origin != HERE)
                entry = take(board, SEC(2), 0);
        assert_int_equal(board_first_seq(board, HERE), 4);
        board_shown(board, entry, 1, SEC(2));
        assert_int_equal(board_first_seq(board, HERE), 5);
        board_forget_seqs(board, HERE);
        assert_int_equal(board_first_seq(board, HERE), 0);
        assert_int_equal(board_first_seq(board, THERE), 2);
}

static void test_bound(void **state) {
        g_autoptr(Board) board = board_new();
        uint64_t next;

        for (unsigned i = 0; i < BOARD_MAX; i++) {
                g_autofree char *name = g_strdup_printf("r%u", i);

                add(board, HERE, name, failed(i + 1), SEC(1));
        }
        assert_false(board_add(board, HERE, "more", failed(9999), SEC(1)));
        /* One that is known already finds its place. */
        add(board, HERE, "r7", failed(9999), SEC(1));
        for (BoardEntry *entry; (entry = board_take(board, SEC(2), &next));)
                board_shown(board, entry, (uint32_t) entry->batch.note->seq, SEC(2));
        /* Not one whose next notification would have to wait. */
        assert_false(board_add(board, HERE, "more", failed(9999), SEC(11)));
        assert_true(board_add(board, HERE, "more", failed(9999), SEC(12)));
        assert_string_equal(take(board, SEC(13), 0)->subject, "more");
}

/* -- what a click opens -- */

static void assert_words(char **taken, const char *expected) {
        g_auto(GStrv) words = taken;
        g_autofree char *line = words ? g_strjoinv("|", words) : g_strdup("none");

        assert_string_equal(line, expected);
}

static void make_program(const char *directory, const char *name) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        assert_true(g_file_set_contents(path, "#!/bin/sh\n", -1, NULL));
        assert_return_code(chmod(path, 0755), errno);
}

static void test_launch(void **state) {
        g_autofree char *path = g_dir_make_tmp("test-notify-XXXXXX", NULL);
        g_autofree char *old = g_strdup(g_getenv("PATH"));
        char *command[] = { (char *) "show", (char *) "it", NULL };
        static const char *const names[] = { "xterm", "x-terminal-emulator", "xdg-terminal-exec", "mine",
                "gio", "xdg-open" };
        const char *const expected[] = { "%s/xterm|-e|show|it", "%s/x-terminal-emulator|-e|show|it",
                "%s/xdg-terminal-exec|show|it", "%s/mine|-e|show|it" };

        assert_words(launch_log(false, "main", "guider"), ARCHITECTCTL "|logs|--follow|--lines=200|guider");
        assert_words(
                launch_log(true, "obs", ""), ARCHITECTCTL "|--user|--instance=obs|logs|--follow|--lines=200");

        assert_true(g_setenv("PATH", path, true));
        g_unsetenv("TERMINAL");
        assert_words(launch_in_terminal(command), "none");
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                g_auto(GStrv) parts = g_strsplit(expected[i], "%s", 2);
                g_autofree char *line = g_strjoin(path, parts[0], parts[1], NULL);

                make_program(path, names[i]);
                if (i == 3)
                        assert_true(g_setenv("TERMINAL", "mine", true));
                assert_words(launch_in_terminal(command), line);
        }
        /* One that is not installed is not what the user has. */
        assert_true(g_setenv("TERMINAL", "gone", true));
        g_auto(GStrv) words = launch_in_terminal(command);
        assert_true(g_str_has_suffix(words[0], "/xdg-terminal-exec"));

        assert_words(launch_browser("u"), "none");
        make_program(path, "gio");
        g_autofree char *gio = g_strconcat(path, "/gio|open|u", NULL);
        assert_words(launch_browser("u"), gio);
        make_program(path, "xdg-open");
        g_autofree char *xdg_open = g_strconcat(path, "/xdg-open|u", NULL);
        assert_words(launch_browser("u"), xdg_open);

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                g_autofree char *file = g_build_filename(path, names[i], NULL);

                assert_return_code(unlink(file), errno);
        }
        assert_return_code(rmdir(path), errno);
        assert_true(g_setenv("PATH", old, true));
        g_unsetenv("TERMINAL");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_notes),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_batch),
                cmocka_unit_test(test_batch_refused),
                cmocka_unit_test(test_away),
                cmocka_unit_test(test_rate),
                cmocka_unit_test(test_roles_apart),
                cmocka_unit_test(test_not_shown),
                cmocka_unit_test(test_hold),
                cmocka_unit_test(test_seqs),
                cmocka_unit_test(test_bound),
                cmocka_unit_test(test_launch),
        };

        return cmocka_run_group_tests_name("notify", tests, (CMFixtureFunction) setup, NULL);
}
