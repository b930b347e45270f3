/* SPDX-License-Identifier: Apache-2.0 */
/* A file system of one file, slow.txt, that takes WAIT_MS to be read: by a child process. */
#pragma once

#include <stdbool.h>

/* Mounts it on the folder, which is made. false: not to be had here. */
bool fuse_mount(const char *folder);
