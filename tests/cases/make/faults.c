/* SPDX-License-Identifier: Apache-2.0 */
/* C programs with one fault each, to be recorded by perf: faults CASE. Each runs about a second. */
#include <pthread.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))

static volatile uint64_t sink;
static pthread_spinlock_t table_lock;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

NOINLINE static uint64_t mix(uint64_t rounds)
{
	uint64_t state = 88172645463325252u;

	for (uint64_t i = 0; i < rounds; i++) {
		state ^= state << 13;
		state ^= state >> 7;
	}
	return state;
}

NOINLINE static void parse_record(void)
{
	sink += mix(20000);
}

NOINLINE static void hash_record(void)
{
	sink += mix(80000);
}

NOINLINE static void import_file(void)
{
	parse_record();
	hash_record();
	sink++;
}

static void hot_hash(void)
{
	import_file();
}

NOINLINE static void update_table(void)
{
	pthread_spin_lock(&table_lock);
	sink += mix(3000);
	pthread_spin_unlock(&table_lock);
	sink++;
}

static void *spin(void *arg)
{
	double end = now_s() + 1;

	while (now_s() < end)
		update_table();
	return arg;
}

static void spinning(void)
{
	pthread_t threads[4];

	pthread_spin_init(&table_lock, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, spin, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

NOINLINE static void match_line(const regex_t *regex, const char *line)
{
	sink += (uint64_t)regexec(regex, line, 0, NULL, 0);
	sink++;
}

static void regex(void)
{
	static regex_t regex;
	static char line[400];

	if (!line[0]) {
		memset(line, 'a', sizeof(line) - 2);
		regcomp(&regex, "(a|aa)+b", REG_EXTENDED);
	}
	match_line(&regex, line);
	sink += mix(2000);
}

NOINLINE static int descend(int depth)
{
	int below = depth > 0 ? descend(depth - 1) + descend(depth - 1) : 0;

	sink += mix(60);
	return below + 1;
}

NOINLINE static void load_tree(void)
{
	sink += mix(60000);
}

static void recursive(void)
{
	sink += (uint64_t)descend(11);
	load_tree();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = { { "hot_hash", hot_hash },
		      { "spinning", spinning },
		      { "regex", regex },
		      { "recursive", recursive } };
	double end = now_s() + 1;

	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(cases[i].name, argv[1]) != 0)
			continue;
		while (now_s() < end)
			cases[i].run();
	}
	return 0;
}
