/* SPDX-License-Identifier: Apache-2.0 */
#include "profile_builder.h"

#include <stdio.h>
#include <stdlib.h>

#define FRAMES 40
#define DEPTH  24

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

/* A walk over few frames: many stacks share long beginnings, and some are the beginning of others.
 */
static uint32_t make_stack(uint64_t *seed, uint32_t frames[static DEPTH])
{
	uint32_t count = next(seed) % (DEPTH + 1);

	for (uint32_t i = 0; i < count; i++)
		frames[i] =
			next(seed) % 8 ? (i ? frames[i - 1] + 1 : 0) % FRAMES : next(seed) % FRAMES;
	return count;
}

static void fill(struct profile *profile, uint32_t rounds, double by_frame[static FRAMES])
{
	uint32_t frames[DEPTH], ids[FRAMES], stack;
	uint64_t seed = 7;
	char name[8];

	assert_int_equal(profile_init(profile, 0), 0);
	assert_int_equal(profile_add_type(profile, STR("samples"), STR("count")), 0);
	for (uint32_t i = 0; i < FRAMES; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		assert_int_equal(profile_frame(profile, str_of(name), &ids[i]), 0);
	}
	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t count = make_stack(&seed, frames);
		int64_t value = 1 + round % 5;

		if (count)
			by_frame[frames[count - 1]] += (double)value;
		for (uint32_t i = 0; i < count; i++)
			frames[i] = ids[frames[i]];
		assert_int_equal(profile_stack(profile, frames, count, &stack), 0);
		profile_add(profile, stack, &value);
	}
	assert_int_equal(profile_seal(profile), 0);
}

/* Enough of them for each way of sorting. */
static void the_tree_holds_what_was_added_once_and_in_preorder(void **state)
{
	double wanted[FRAMES] = { 0 }, found[FRAMES] = { 0 }, root = 0;
	struct profile_walk *walk = calloc(1, sizeof(*walk));
	struct profile profile;

	(void)state;
	assert_non_null(walk);
	fill(&profile, 60000, wanted);
	profile_walk_init(walk, &profile);
	for (uint32_t at = 0; profile_walk_next(walk); at++) {
		const struct profile_node *node = &profile.nodes[walk->node];

		assert_int_equal(walk->node, at);
		if (at == PROFILE_ROOT) {
			root = (double)profile_self(&profile, at, 0);
			continue;
		}
		assert_int_equal(walk->frames[walk->depth - 1], node->frame);
		assert_true(node->parent < at);
		assert_true(walk->depth == 1 ? node->parent == PROFILE_ROOT
					     : node->parent == walk->nodes[walk->depth - 2]);
		found[node->frame] += (double)profile_self(&profile, at, 0);
	}
	for (uint32_t i = 0; i < FRAMES; i++)
		assert_true(found[i] == wanted[i]);
	assert_true(root > 0);                            /* stacks without frames */
	for (uint32_t i = 2; i < profile.node_count; i++) /* siblings are told apart */
		assert_false(profile.nodes[i].parent == profile.nodes[i - 1].parent &&
			     profile.nodes[i].frame == profile.nodes[i - 1].frame);
	profile_fini(&profile);
	free(walk);
}

static void the_order_of_stacks_does_not_show(void **state)
{
	struct profile forward, backward;

	(void)state;
	build_profile(&forward, "a;b;c 1\na;b 2\na;d;c 3\ne 4\n");
	build_profile(&backward, "a;b;c 1\na;d;c 3\ne 4\na;b 2\n");
	assert_int_equal(forward.node_count, backward.node_count);
	for (uint32_t i = 1; i < forward.node_count; i++)
		assert_int_equal(profile_self(&forward, i, 0), profile_self(&backward, i, 0));
	profile_fini(&forward);
	profile_fini(&backward);
}

static void nothing_is_a_profile_of_nothing(void **state)
{
	struct profile profile;

	(void)state;
	assert_int_equal(profile_init(&profile, 0), 0);
	assert_int_equal(profile_seal(&profile), 0);
	assert_int_equal(profile.node_count, 1);
	profile_fini(&profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_holds_what_was_added_once_and_in_preorder),
		cmocka_unit_test(the_order_of_stacks_does_not_show),
		cmocka_unit_test(nothing_is_a_profile_of_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
