/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/base/macros.h"
#include "collector/query/plumbing.h"

static bool is_plumbing(enum frame_kind kind, const char *name, const char *module)
{
	struct frame frame = { .kind = kind, .name = str_of(name), .module = str_of(module) };

	return plumbing_is(&frame);
}

static void what_every_program_has_is_plumbing(void **state)
{
	static const struct {
		enum frame_kind kind;
		const char *name, *module;
	} frames[] = {
		{ FRAME_NATIVE, "__recv", "/usr/lib/x86_64-linux-gnu/libc.so.6" },
		{ FRAME_NATIVE, "recv@plt", "/srv/shop/server" },
		{ FRAME_NATIVE, "_start", "/srv/shop/server" },
		{ FRAME_NATIVE, "_PyEval_EvalFrameDefault", "/usr/bin/python3.11" },
		{ FRAME_NATIVE, "runtime.gopark", "/srv/shop/server" },
		{ FRAME_NATIVE, "internal/poll.(*FD).Read", "/srv/shop/server" },
		{ FRAME_NATIVE, "std::thread::_State_impl::_M_run()", "/srv/shop/server" },
		{ FRAME_NATIVE, "", "/srv/shop/server" },
		{ FRAME_KERNEL, "tcp_recvmsg", "" },
		{ FRAME_UNKNOWN, "", "" },
		{ FRAME_PYTHON, "recv_into", "/usr/lib/python3.11/socket.py" },
		{ FRAME_PYTHON, "wait", "/usr/lib/python3.11/threading.py" },
		{ FRAME_JIT, "Builtins_InterpreterEntryTrampoline", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(frames); i++)
		assert_true(is_plumbing(frames[i].kind, frames[i].name, frames[i].module));
}

static void what_somebody_wrote_for_this_is_not(void **state)
{
	(void)state;
	assert_false(is_plumbing(FRAME_NATIVE, "main.handleReport", "/srv/shop/server"));
	assert_false(is_plumbing(FRAME_NATIVE, "database/sql.(*DB).QueryContext", "/srv/shop"));
	assert_false(is_plumbing(FRAME_NATIVE, "PQexec", "/usr/lib/libpq.so.5"));
	assert_false(is_plumbing(FRAME_NATIVE, "cloneRepository", "/usr/bin/x"));
	assert_false(is_plumbing(FRAME_PYTHON, "execute",
				 "/usr/lib/python3.11/site-packages/psycopg/cursor.py"));
	assert_false(is_plumbing(FRAME_PYTHON, "report",
				 "/usr/lib/python3/dist-packages/shop/report.py"));
	assert_false(is_plumbing(FRAME_PYTHON, "handle_report", "/srv/shop/app.py"));
	assert_false(is_plumbing(FRAME_JIT, "JS:*handleReport /srv/app.js:10:3", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_every_program_has_is_plumbing),
		cmocka_unit_test(what_somebody_wrote_for_this_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
