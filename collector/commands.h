/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of the one binary; the table is commands.def.
 *
 * argv[0] is the command's own name ("serve"). Each returns the exit status: 0 all is well, 1 the
 * answer is bad news or an operation failed, 2 the command line or the configuration is wrong. */
#pragma once

#define X(name, function, arguments, summary) int function(int argc, char **argv);
#include "collector/commands.def"
#undef X
