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

/* What LLVM puts behind the names of functions that it shares among files: as long as they are, no
 * demangler knows them. */
static size_t bytes_without_suffix(const char *mangled)
{
	const char *suffix = strstr(mangled, ".llvm.");

	return suffix && suffix > mangled ? (size_t)(suffix - mangled) : strlen(mangled);
}

void symbol_name_put(const char *full, struct buf *out)
{
	char mangled[SYMBOL_NAME_LONGEST], *name = NULL;
	bool fits = strnlen(full, SYMBOL_NAME_LONGEST) < SYMBOL_NAME_LONGEST;
	size_t bytes = fits ? bytes_without_suffix(full) : 0;

	memcpy(mangled, full, bytes);
	mangled[bytes] = '\0';
	if (fits) {
		if (strncmp(mangled, "_R", 2) == 0 ||
		    (strncmp(mangled, "_ZN", 3) == 0 && is_old_rust(mangled)))
			name = rust_demangle(mangled, 0);
		else if (strncmp(mangled, "_Z", 2) == 0)
			name = cplus_demangle_v3(mangled, DMGL_NO_OPTS);
	}
	buf_append_text(out, name ? name : fits ? mangled : full);
	free(name);
}
