/* SPDX-License-Identifier: Apache-2.0 */
/* A file system of one file, slow.txt, that takes WAIT_MS for one kind of request: by a child
 * process. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Mounts it on the folder, which is made; `slow`: an enum fuse_opcode. false: not to be had here.
 */
bool fuse_mount(const char *folder, uint32_t slow);
