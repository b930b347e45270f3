/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the files that a process has mapped: also those that were deleted since, or that lie in
 * another mount namespace. What was read before need not be opened; and only regular files are ever
 * opened, for opening a device does things. */
#pragma once

#include <stdbool.h>

#include "bpf/process_maps.h"

/* A descriptor (O_PATH) that tells which file it is, or negative errno. `directory_fd`: /proc/PID.
 * Sets `*no_map_files` when the right to use /proc/PID/map_files is missing; then the path is
 * taken, if it still leads to the same file. */
int process_files_find(int directory_fd, const struct process_maps *maps,
		       const struct maps_module *module, bool *no_map_files);

/* Another one of the same file, for reading. -ENOEXEC: it is none to read. */
int process_files_reopen(int path_fd);
