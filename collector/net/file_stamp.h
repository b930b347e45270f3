/* SPDX-License-Identifier: Apache-2.0 */
/* Has a file changed since it was read? By its identity, size and time; a path that does not exist
 * has a stamp too. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct file_stamp {
	uint64_t device, inode, size;
	int64_t changed_s, changed_ns;
};

/* "" has the empty stamp. */
struct file_stamp file_stamp_of(const char *path);
bool file_stamp_eq(const struct file_stamp *a, const struct file_stamp *b);
