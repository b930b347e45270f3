/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/query/plumbing.h"

#include <string.h>

#include "collector/base/macros.h"

/* Files whose code is plumbing, by the beginning of their name. */
static const char *const files[] = {
	"libc.so",   "libc-",    "libpthread", "libm.so", "ld-linux",  "ld-musl",
	"libstdc++", "libgcc_s", "libpython",  "python3", "libjvm.so", "libuv.so",
	"libnode",   "[vdso]",   "libcrypto.", "libssl.",
};

/* Functions, by the beginning of their name: entry points of threads and programs, and runtimes. */
static const char *const names[] = {
	/* C and C++ */
	"_start", "__libc_", "start_thread", "clone3", "__clone", "pthread_", "__pthread_",
	"std::", "__gnu", "operator new", "operator delete",
	/* Go: down to what the standard library calls a file or a connection */
	"runtime.", "runtime/", "internal/", "syscall.", "net.(*netFD)", "net.(*conn)",
	"os.(*File)", "sync.runtime_", "gosave", "gogo",
	/* Rust */
	"core::", "alloc::", "<core::", "<alloc::", "<std::", "__rust_", "tokio::runtime",
	"tokio::park",
	/* CPython, Node, the JVM */
	"_Py", "Py_", "PyObject_", "PyEval_", "PyRun_", "builtin_", "v8::", "node::", "Builtins_",
	"node:internal", "uv_", "uv__", "java.lang.Thread.", "java.util.concurrent.",
	"jdk.internal.", "sun.nio.", "Interpreter", "call_stub"
};

static bool begins_with(struct str text, const char *prefix)
{
	size_t bytes = strlen(prefix);

	return text.len >= bytes && memcmp(text.data, prefix, bytes) == 0;
}

/* Python's own library, but not what was installed beside it. */
static bool is_python_library(struct str path)
{
	return begins_with(path, "<frozen") ||
	       (path.len && memmem(path.data, path.len, "/lib/python", 11) &&
		!memmem(path.data, path.len, "-packages/", 10));
}

static bool begins_with_any(struct str text, const char *const *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (begins_with(text, prefixes[i]))
			return true;
	}
	return false;
}

static bool is_stub(struct str name)
{
	return name.len > 4 && memcmp(name.data + name.len - 4, "@plt", 4) == 0;
}

bool plumbing_is(const struct frame *frame)
{
	if (frame->name.len == 0)
		return true;
	switch (frame->kind) {
	case FRAME_KERNEL:
	case FRAME_UNKNOWN:
		return true;
	case FRAME_PYTHON:
		return is_python_library(frame->module);
	case FRAME_NATIVE:
		if (begins_with_any(frame_base_name(frame->module), files, ARRAY_LEN(files)))
			return true;
		break;
	case FRAME_JIT:
		break;
	}
	return is_stub(frame->name) || str_eq(frame->name, STR("clone")) ||
	       begins_with_any(frame->name, names, ARRAY_LEN(names));
}
