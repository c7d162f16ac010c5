/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sandbox: unified
 *
 * Products by Lmod. The package of Debian conflicts with Environment Modules, so it is unpacked separately,
 * in /opt/lmod. */

#include <glob.h>

#include "products.h"

int main(void) {
        glob_t found;

        if (glob("/opt/lmod/usr/share/lmod/*.*/libexec/lmod", 0, NULL, &found) != 0) {
                print_error("Lmod is not there\n");
                return 1;
        }
        int r = run_modules_case("products-lmod", "lmod", found.gl_pathv[0]);
        globfree(&found);
        return r;
}
