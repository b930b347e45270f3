/* SPDX-License-Identifier: Apache-2.0 */
/* Opens what a process has mapped: the very file, whatever has become of its name, also in another
 * mount namespace. Only regular files are ever opened. Descriptors, or negative errno. */
#pragma once

#include "bpf/symbol_maps.h"

/* /proc/PID, as a directory. */
int symbol_open_process(uint32_t pid);
/* Its root directory. */
int symbol_open_root(int directory_fd);
int symbol_open_file(int directory_fd, int root_fd, const struct symbol_mapping *mapping);
/* The vDSO, which is the same for all 64-bit processes, as a file in memory. */
int symbol_open_vdso(void);
