/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collector/address.h"
#include "collector/net/admission.h"

static struct admission *admission;

static int set_up(void **state)
{
	(void)state;
	return admission_new(3, 2, &admission);
}

static int tear_down(void **state)
{
	(void)state;
	admission_free(admission);
	return 0;
}

static struct sockaddr_storage peer(const char *text)
{
	struct sockaddr_storage address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static void places_are_as_many_as_allowed(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(admission_enter(admission));
	assert_false(admission_enter(admission));
	assert_int_equal(admission_count(admission), 3);
	admission_leave(admission);
	assert_true(admission_enter(admission));
}

static void a_peer_is_its_address_whatever_the_port(void **state)
{
	struct sockaddr_storage first = peer("10.0.0.1:1"), second = peer("10.0.0.1:2"),
				other = peer("10.0.0.2:1");

	(void)state;
	assert_true(admission_enter_peer(admission, &first));
	assert_true(admission_enter_peer(admission, &second));
	assert_false(admission_enter_peer(admission, &first));
	assert_true(admission_enter_peer(admission, &other));
	admission_leave_peer(admission, &second);
	assert_true(admission_enter_peer(admission, &first));
}

static void a_network_of_ipv6_is_one_peer(void **state)
{
	struct sockaddr_storage first = peer("[2001:db8::1]:1"), second = peer("[2001:db8::2]:1"),
				other = peer("[2001:db8:0:1::1]:1");

	(void)state;
	assert_true(admission_enter_peer(admission, &first));
	assert_true(admission_enter_peer(admission, &second));
	assert_false(admission_enter_peer(admission, &second));
	assert_true(admission_enter_peer(admission, &other));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(places_are_as_many_as_allowed),
		TEST(a_peer_is_its_address_whatever_the_port),
		TEST(a_network_of_ipv6_is_one_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
