/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is installed as xterm.js where there is no xterm.js to build it from. */

export default null;
