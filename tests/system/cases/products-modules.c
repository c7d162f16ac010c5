/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Products by Environment Modules, as packaged by Debian. */

#include "products.h"

int main(void) {
        return run_modules_case("products-modules", "modules", "/usr/bin/modulecmd");
}
