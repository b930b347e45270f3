/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/symbol_name.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <libiberty/demangle.h>

#define RUST_HASH_BYTES 20 /* "17h", 16 digits, "E" */

/* Rust's older mangling is C++'s, with a hash as the last part. */
static bool is_old_rust(const char *name)
{
	size_t bytes = strlen(name);

	return bytes > RUST_HASH_BYTES && name[bytes - 1] == 'E' &&
	       memcmp(name + bytes - RUST_HASH_BYTES, "17h", 3) == 0;
}

void symbol_name_put(const char *mangled, struct buf *out)
{
	char *name = NULL;

	if (strnlen(mangled, SYMBOL_NAME_LONGEST) < SYMBOL_NAME_LONGEST) {
		if (strncmp(mangled, "_R", 2) == 0 ||
		    (strncmp(mangled, "_ZN", 3) == 0 && is_old_rust(mangled)))
			name = rust_demangle(mangled, 0);
		else if (strncmp(mangled, "_Z", 2) == 0)
			name = cplus_demangle_v3(mangled, DMGL_NO_OPTS);
	}
	buf_append_text(out, name ? name : mangled);
	free(name);
}
