/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The products of a start: which are accepted, which are refused with which error, and what the child
 * runs. */

#include "model/settings.h"
#include "test-world.h"

#include "config.h"
#include "model/event-details.h"
#include "model/products.h"
#include "model/role-start.h"

#define SCRIPT PKGLIBEXECDIR "/setup-products.bash"

static RoleSpec *spec_of(const char *provider) {
        RoleSpec *spec = test_spec();

        assert_return_code(role_spec_set_provider(spec, provider, NULL), 0);
        return spec;
}

static void test_nothing(void **state) {
        g_autoptr(RoleSpec) spec = test_spec(), provider = spec_of("eups");
        g_autoptr(Settings) settings = settings_new();
        g_auto(Fault) fault = {};

        assert_false(products_wanted(spec));
        assert_return_code(role_spec_check(spec, NULL), 0);
        assert_null(products_setup(spec, settings));
        assert_fault(role_spec_check(provider, &fault), &fault, NODE_ERROR_INVALID_ARGS,
                "Option \"provider\" is given without \"product\" or \"eups-list\"");
}

static void test_without_product(void **state) {
        g_autoptr(RoleSpec) version = spec_of("eups"), arguments = spec_of("eups");
        g_auto(Fault) a = {}, b = {};

        /* A list alone is valid, but these belong to a product. */
        assert_return_code(role_spec_add_eups(version, "base", "", NULL), 0);
        assert_return_code(role_spec_check(version, NULL), 0);
        assert_return_code(role_spec_set_version(version, "1", NULL), 0);
        assert_fault(role_spec_check(version, &a), &a, NODE_ERROR_INVALID_ARGS,
                "Option \"version\" is given without \"product\"");
        assert_return_code(role_spec_add_eups(arguments, "base", "", NULL), 0);
        assert_return_code(role_spec_set_setup_args(arguments, (char *[]){ "-k", NULL }, NULL), 0);
        assert_fault(role_spec_check(arguments, &b), &b, NODE_ERROR_INVALID_ARGS,
                "Option \"setup-args\" is given without \"product\"");
}

typedef struct Text {
        const char *text;
        bool eups_product, eups_version, module, module_version;
} Text;

static const Text texts[] = {
        { "base", true, true, true, true },
        { "_b-1_", true, true, true, true },
        { "1.0", false, true, true, true },
        { "9", false, true, true, true },
        { "v1.2+3-4/x", false, true, true, true },
        { "1:2", false, true, false, false },
        { "foo/1.0", false, true, true, true },
        { ".5", false, true, false, false },
        { "../x", false, true, false, false },
        { "-r", false, false, false, false },
        { "--help", false, false, false, false },
        { "/etc", false, false, false, false },
        { "+1", false, false, false, false },
        { "EUPS_PATH=/x", false, false, false, false },
        { "a b", false, false, false, false },
        { "a\nb", false, false, false, false },
        { "$(touch /x)", false, false, false, false },
        { "`id`", false, false, false, false },
        { "a;b", false, false, false, false },
        { "a'b", false, false, false, false },
        { "a\"b", false, false, false, false },
        { "a*", false, false, false, false },
        { "~", false, false, false, false },
        { "gr\303\274n", false, false, false, false },
        { ">= 1.5", false, false, false, false },
};

static void check_text(RoleSpec *spec, bool valid, const char *option, const char *text) {
        g_auto(Fault) fault = {};
        g_autofree char *shown = g_strescape(text, NULL),
                        *expected = g_strdup_printf("Option \"%s\": \"%s\" is not a valid", option, shown);

        int r = role_spec_check(spec, &fault);
        if (valid)
                assert_return_code(r, 0);
        else
                assert_fault(r, &fault, NODE_ERROR_INVALID_ARGS, expected);
}

static void test_spelling(void **state) {
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                for (ProductProvider p = 0; p < _PRODUCT_PROVIDER_MAX; p++) {
                        const char *provider = product_provider_to_string(p), *text = texts[i].text;
                        bool eups = p == PRODUCT_PROVIDER_EUPS;
                        bool product = eups ? texts[i].eups_product : texts[i].module;
                        bool version = eups ? texts[i].eups_version : texts[i].module_version;
                        g_autoptr(RoleSpec) a = spec_of(provider), b = spec_of(provider),
                                            c = spec_of(provider), d = spec_of(provider);

                        assert_return_code(role_spec_set_product(a, text, NULL), 0);
                        check_text(a, product, "product", text);
                        assert_return_code(role_spec_set_product(b, "base", NULL), 0);
                        assert_return_code(role_spec_set_version(b, text, NULL), 0);
                        check_text(b, version, "version", text);
                        assert_return_code(role_spec_add_eups(c, "base", "1", NULL), 0);
                        assert_return_code(role_spec_add_eups(c, text, "", NULL), 0);
                        check_text(c, product, "eups-list", text);
                        assert_return_code(role_spec_add_eups(d, "base", "1", NULL), 0);
                        assert_return_code(role_spec_add_eups(d, "base", text, NULL), 0);
                        check_text(d, version, "eups-list", text);
                }
}

static void test_bounds(void **state) {
        g_autoptr(RoleSpec) spec = spec_of("eups");
        g_autofree char *longest = g_strnfill(PRODUCT_TEXT_MAX, 'a'),
                        *too_long = g_strnfill(PRODUCT_TEXT_MAX + 1, 'a'),
                        *long_argument = g_strnfill(PRODUCT_ARGUMENT_MAX + 1, 'a');
        g_autofree char **many = g_new0(char *, PRODUCT_LIST_MAX + 2);

#define REFUSED(call, text) \
        do { \
                g_auto(Fault) fault = {}; \
                int _r = (call); \
                assert_fault(_r, &fault, NODE_ERROR_INVALID_ARGS, text); \
        } while (0)
        REFUSED(role_spec_set_product(spec, "", &fault), "Option \"product\": the product is empty");
        REFUSED(role_spec_set_version(spec, "", &fault), "Option \"version\": the version is empty");
        REFUSED(role_spec_add_eups(spec, "", "1", &fault), "Option \"eups-list\": the product is empty");
        REFUSED(role_spec_set_product(spec, too_long, &fault), "longer than 255 bytes");
        REFUSED(role_spec_add_eups(spec, "a", too_long, &fault), "longer than 255 bytes");
        REFUSED(role_spec_set_setup_args(spec, (char *[]){ long_argument, NULL }, &fault),
                "longer than 4096 bytes");
        REFUSED(role_spec_set_provider(spec, "eups\n", &fault),
                "is \"eups\\n\", but must be eups, modules or lmod");
        assert_false(products_wanted(spec));

        assert_return_code(role_spec_set_product(spec, longest, NULL), 0);
        for (unsigned i = 0; i <= PRODUCT_LIST_MAX; i++)
                many[i] = "x";
        REFUSED(role_spec_set_setup_args(spec, many, &fault), "257 arguments, more than 256");
        many[PRODUCT_LIST_MAX] = NULL;
        assert_return_code(role_spec_set_setup_args(spec, many, NULL), 0);
        for (unsigned i = 0; i < PRODUCT_LIST_MAX; i++)
                assert_return_code(role_spec_add_eups(spec, "x", "", NULL), 0);
        REFUSED(role_spec_add_eups(spec, "x", "", &fault), "more than 256 products");
        assert_return_code(role_spec_check(spec, NULL), 0);
        assert_int_equal(
                products_size(spec), PRODUCT_TEXT_MAX + 1 + 2 * PRODUCT_LIST_MAX + 3 * PRODUCT_LIST_MAX);
}

static void expect_setup(const RoleSpec *spec, const char *expected) {
        g_autoptr(Settings) settings = settings_new();
        g_auto(GStrv) setup = products_setup(spec, settings);
        g_autofree char *text = g_strjoinv("|", setup);

        assert_string_equal(text, expected);
}

/* The product with its arguments, then the list in its order. */
static void test_setup(void **state) {
        g_autoptr(RoleSpec) eups = spec_of("eups"), modules = spec_of("modules"), lmod = spec_of("lmod");

        assert_return_code(role_spec_add_eups(eups, "camera", "", NULL), 0);
        expect_setup(eups, SCRIPT "|eups||1|camera");
        assert_return_code(role_spec_add_eups(eups, "base", "2.0", NULL), 0);
        assert_return_code(role_spec_set_product(eups, "base", NULL), 0);
        expect_setup(eups, SCRIPT "|eups||1|base|1|camera|2|base|2.0");
        assert_return_code(role_spec_set_setup_args(eups, (char *[]){ "-t", "$(id)", "", NULL }, NULL), 0);
        expect_setup(eups, SCRIPT "|eups||4|base|-t|$(id)||1|camera|2|base|2.0");
        assert_return_code(role_spec_set_version(eups, "1.0", NULL), 0);
        expect_setup(eups, SCRIPT "|eups||5|base|1.0|-t|$(id)||1|camera|2|base|2.0");

        assert_return_code(role_spec_set_product(modules, "gcc", NULL), 0);
        assert_return_code(role_spec_set_version(modules, "12/x", NULL), 0);
        assert_return_code(role_spec_add_eups(modules, "mpi", "", NULL), 0);
        expect_setup(modules, SCRIPT "|modules|" MODULES_COMMAND_DEFAULT "|1|gcc/12/x|1|mpi");
        assert_return_code(role_spec_add_eups(lmod, "mpi", "3", NULL), 0);
        expect_setup(lmod, SCRIPT "|lmod|" LMOD_COMMAND_DEFAULT "|1|mpi/3");
}

/* printf 'A=1\0B\0C=\0' | sha256sum */
#define HASH "01dce5e23ba527ec144e45cab0a95cff717f6342dde8c0bf58a7c960ef87ab68"
#define HASH_OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void assert_hash(const RoleSpec *spec, char *const *changes, const char *expected) {
        g_autofree char *hash = products_environment_hash(spec, changes);

        assert_string_equal(hash, expected);
}

/* The hash depends on what the products have changed, and not on the start. */
static void test_hash(void **state) {
        g_autoptr(RoleSpec) spec = test_spec(), with_env = test_spec();

        assert_hash(spec, (char *[]){ NULL }, HASH_OF_NOTHING);
        assert_hash(spec, (char *[]){ "A=1", "B", "C=", NULL }, HASH);
        assert_hash(spec,
                (char *[]){ "A=1", "ARCHITECT_ROLE=x", "B", "C=", "EUPS_LOCK_PID=7", "INVOCATION_ID=1",
                        "JOURNAL_STREAM", "LISTEN_PID=5", "_ModuleTable001_=x", "_ModuleTable_Sz_=1", NULL },
                HASH);

        assert_return_code(role_spec_add_environment(with_env, "PATH", "/own", NULL), 0);
        assert_return_code(role_spec_add_environment(with_env, "B2", "/own", NULL), 0);
        assert_hash(with_env, (char *[]){ "A=1", "B", "B2", "C=", "PATH=/product:/own", NULL }, HASH);

        /* Each of them is another change. */
        static char *const others[][4] = { { "A=1", "B", NULL }, { "A=2", "B", "C=", NULL },
                { "A=1", "B=", "C=", NULL }, { "A=1B", "C=", NULL }, { "A=1", "B", "C", NULL } };
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                g_autofree char *hash = products_environment_hash(spec, others[i]);
                assert_string_not_equal(hash, HASH);
        }
}

/* What is recorded fits into an event, and is text. */
static void test_resolved(void **state) {
        g_auto(GStrv) good = NULL, bad = NULL, some = NULL, none = NULL;
        g_autoptr(GPtrArray) many = g_ptr_array_new();
        g_autofree char *big = g_strnfill(PRODUCTS_RESOLVED_SIZE_MAX - 3, 'x');
        char name[] = "p";

        assert_true(products_resolved((char *[]){ NULL }, &none));
        assert_int_equal(g_strv_length(none), 0);
        assert_true(products_resolved((char *[]){ "base", "2.0", "b\377", "", NULL }, &good));
        assert_int_equal(g_strv_length(good), 4);
        assert_string_equal(good[0], "base");
        assert_string_equal(good[2], "b\357\277\275");
        assert_string_equal(good[3], "");

        assert_false(products_resolved((char *[]){ "a", "1", big, "", "b", "2", NULL }, &bad));
        assert_int_equal(g_strv_length(bad), 4);
        for (unsigned i = 0; i < 2 * PRODUCTS_RESOLVED_MAX; i++)
                g_ptr_array_add(many, name);
        g_ptr_array_add(many, NULL);
        assert_true(products_resolved((char **) many->pdata, &some));
        assert_int_equal(g_strv_length(some), 2 * PRODUCTS_RESOLVED_MAX);
        g_clear_pointer(&some, g_strfreev);
        many->pdata[many->len - 1] = name;
        g_ptr_array_add(many, name);
        g_ptr_array_add(many, NULL);
        assert_false(products_resolved((char **) many->pdata, &some));
        assert_int_equal(g_strv_length(some), 2 * PRODUCTS_RESOLVED_MAX);
}

/* A start that is being undone, or is over, has no products. */
static void test_role(void **state) {
        TestWorld *w = *state;
        char *const products[] = { "base", "2.0", NULL }, *const changes[] = { "A=1", "B", "C=", NULL };

        Role *role = world_start(w, "cam", NULL, NULL);
        world_forked(w, role);
        world_scope_made(w, role);
        forget_calls(w);
        role_on_products(role, products, changes);
        expect_calls(w, "save(cam)");
        assert_string_equal(role->environment_hash, HASH);
        role_on_products(role, products, changes); /* read again */
        assert_int_equal(g_strv_length(role->resolved_products), 2);
        g_autoptr(GVariant) details = g_variant_ref_sink(event_details_started(role));
        g_autoptr(GVariant) resolved = g_variant_lookup_value(details, "resolved-products", NULL);
        g_autofree char *text = g_variant_print(resolved, true);
        assert_string_equal(text, "[('base', '2.0')]");
        const char *hash = NULL;
        assert_true(g_variant_lookup(details, "environment-hash", "&s", &hash));
        assert_string_equal(hash, HASH);

        role_on_gate_closed(role);
        role_on_products(role, (char *[]){ NULL }, (char *[]){ NULL });
        assert_string_equal(role->environment_hash, HASH);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_without_product),
                cmocka_unit_test(test_spelling),
                cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_setup),
                cmocka_unit_test(test_hash),
                cmocka_unit_test(test_resolved),
                cmocka_unit_test_setup_teardown(test_role, test_world_setup, test_world_teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
