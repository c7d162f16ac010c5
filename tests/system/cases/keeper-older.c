/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * The node is newer than the keeper, which uses the previous version of the protocol (--protocol-max=2).
 * Roles start, stop and are found again. systemd sends the signals that this keeper cannot send. */

#include "keeper.h"
#include "products.h"
#include "testlib.h"

static void be_older(Bus *bus) {
        g_autofree char *text = NULL, *program = NULL, *link = NULL;

        link = g_strdup_printf("/proc/%d/exe", keeper_pid(bus));
        program = g_file_read_link(link, NULL);
        assert_non_null(program);
        text = g_strdup_printf(
                "[Service]\nExecStart=\nExecStart=%s --instance=main --protocol-max=2\n", program);
        unit_configure(KEEPER_UNIT, text);
        keeper_crash_and_wait(bus);
}

static void test_older(void **state) {
        Bus *bus = *state;
        const char *reads = role_name("reads"), *exits = role_name("exits"), *stays = role_name("stays");
        g_autoptr(Fifo) fifo = fifo_new("fifo");
        pid_t keeper;

        be_older(bus);
        keeper = keeper_pid(bus);
        start(bus, reads, OPTIONS("{'output': <'null'>}"), actor(), "echo", fifo_path(fifo), NULL);
        start(bus, exits, NULL, actor(), "exit-on", "USR1", "42", "pause", NULL);
        start(bus, stays, NULL, actor(), "pause", NULL);
        start_fails(bus, start_args(role_name("bad"), NULL, "/no/such/file", NULL), "ExecFailed", NULL);

        /* It cannot receive notifications, and is not asked to. */
        start_fails(bus,
                start_args(role_name("notifies"), OPTIONS("{'type': <'notify'>}"), actor(), "pause", NULL),
                NOT_SUPPORTED, "the keeper that runs is too old", NULL);
        assert_state(bus, role_name("notifies"), "none");
        start(bus, role_name("once"), OPTIONS("{'type': <'oneshot'>}"), actor(), "exit", "0", NULL);

        /* Products are set up, but what they have made is not known. */
        const char *product = role_name("product");
        products_configure_fake(bus);
        start(bus, product, OPTIONS("{'product': <'foo'>}"), actor(), "exit", "0", NULL);
        expect_exited(bus, product, "exited", 0, "self");
        g_autoptr(GVariant) resolved = role_get(bus, product, "ResolvedProducts");
        g_autofree char *hash = role_get_string(bus, product, "EnvironmentHash");
        assert_int_equal(g_variant_n_children(resolved), 0);
        assert_string_equal(hash, "");
        purge(bus, product);
        node_configure(bus, NULL);

        /* After a restart the node finds everything again. */
        node_crash(bus);
        assert_int_equal(keeper_pid(bus), keeper);
        send_input(bus, reads, "still there?");
        fifo_expect_pid(fifo, "echo");
        send_signal(bus, exits, "main", SIGUSR1);
        expect_exited(bus, exits, "exited", 42, NULL);
        stop(bus, stays);
        expect_exited(bus, stays, "killed", SIGTERM, "stop");

        /* The next keeper does not know the children of the previous one. The node detects their exits
         * itself. */
        keeper_wait_stored(bus, 1 + 2);
        keeper_crash_and_wait(bus);
        assert_poll(bus, reads, "running");
        send_input(bus, reads, "still there?");
        fifo_expect_pid(fifo, "echo");
        kill_role(bus, reads);
        wait_exited(bus, reads);

        /* The upgrade. */
        unit_configure(KEEPER_UNIT, NULL);
        keeper_crash_and_wait(bus);
        start(bus, exits, NULL, actor(), "exit", "3", NULL);
        expect_exited(bus, exits, "exited", 3, "self");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_older),
        };
        return run_case("keeper-older", tests);
}
