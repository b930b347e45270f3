/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/kernel_types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/btf.h>
#include <cmocka.h>

/* A kernel whose spinlocks hold a `lock` of that type, and whose ring has one of that type. */
static struct btf *kernel_of(const char *within, const char *of_ring)
{
	struct btf *kernel = btf__new_empty();
	int lock = btf__add_struct(kernel, within, 8);
	int spinlock = btf__add_struct(kernel, "spinlock", 8);

	btf__add_field(kernel, "lock", lock, 0, 0);
	int named = btf__add_typedef(kernel, of_ring, spinlock);
	int ring = btf__add_struct(kernel, "bpf_ringbuf", 16);

	btf__add_field(kernel, "mask", lock, 0, 0);
	btf__add_field(kernel, "spinlock", named, 64, 0);
	assert_true(ring > 0);
	return kernel;
}

static bool sleeps(const char *within, const char *of_ring)
{
	struct btf *kernel = kernel_of(within, of_ring);
	bool answer = kernel_types_ring_sleeps(kernel);

	btf__free(kernel);
	return answer;
}

static void a_ring_sleeps_where_its_spinlock_is_a_mutex(void **state)
{
	(void)state;
	assert_true(sleeps("rt_mutex_base", "spinlock_t"));
	assert_false(sleeps("rt_mutex_base", "raw_spinlock_t"));
	assert_false(sleeps("rt_mutex_base", "rqspinlock_t"));
	assert_false(sleeps("raw_spinlock", "spinlock_t"));
}

static void a_kernel_that_tells_nothing_has_nothing(void **state)
{
	struct btf *kernel = btf__new_empty();

	(void)state;
	assert_false(kernel_types_ring_sleeps(kernel));
	assert_false(kernel_types_have_hook(kernel, "sched_switch"));
	assert_false(kernel_types_pass_prev_state(kernel));
	btf__free(kernel);
}

/* The switch, with so many parameters; the first is the hook's own. */
static bool passes_prev_state(int parameters)
{
	struct btf *kernel = btf__new_empty();
	int number = btf__add_int(kernel, "int", 4, 0);
	int function = btf__add_func_proto(kernel, 0);

	for (int i = 0; i < parameters; i++)
		btf__add_func_param(kernel, "", number);
	btf__add_typedef(kernel, "btf_trace_sched_switch", btf__add_ptr(kernel, function));
	assert_true(kernel_types_have_hook(kernel, "sched_switch"));
	bool answer = kernel_types_pass_prev_state(kernel);

	btf__free(kernel);
	return answer;
}

static void the_state_of_prev_is_the_fifth_parameter(void **state)
{
	(void)state;
	assert_false(passes_prev_state(4));
	assert_true(passes_prev_state(5));
}

/* That of a kernel with these functions. */
static bool keeps_cpu(const char *first, const char *second)
{
	struct btf *kernel = btf__new_empty();
	const int proto = btf__add_func_proto(kernel, 0);

	btf__add_func(kernel, first, BTF_FUNC_GLOBAL, proto);
	btf__add_func(kernel, second, BTF_FUNC_GLOBAL, proto);
	bool answer = kernel_types_keep_cpu(kernel);

	btf__free(kernel);
	return answer;
}

/* 6.10 has what keeps it; 6.15 lets a program call functions of its own meanwhile, and 6.17 is the
 * first that can be told from what is older. */
static void a_cpu_is_kept_from_6_17_on(void **state)
{
	(void)state;
	assert_true(keeps_cpu("bpf_preempt_disable", "bpf_strcmp"));
	assert_false(keeps_cpu("bpf_preempt_disable", "bpf_rdonly_cast"));
	assert_false(keeps_cpu("bpf_rdonly_cast", "bpf_strcmp"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_sleeps_where_its_spinlock_is_a_mutex),
		cmocka_unit_test(a_kernel_that_tells_nothing_has_nothing),
		cmocka_unit_test(the_state_of_prev_is_the_fifth_parameter),
		cmocka_unit_test(a_cpu_is_kept_from_6_17_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
