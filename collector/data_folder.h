/* SPDX-License-Identifier: Apache-2.0 */
/* Folders on disk. */
#pragma once

/* Makes `path` and what is missing above it, for the owner only. It may exist. Negative errno. */
int data_folder_make(const char *path);
