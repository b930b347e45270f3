/* SPDX-License-Identifier: Apache-2.0 */
/* More C programs with one fault each, to be recorded by perf: held_out CASE. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))
#define ROWS     4000

static volatile uint64_t sink;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

NOINLINE static uint64_t spend(uint64_t rounds)
{
	uint64_t state = 1;

	for (uint64_t i = 0; i < rounds; i++)
		state = state * 6364136223846793005u + 1;
	return state;
}

/* A whole frame is copied for each line that changed. */
NOINLINE static void copy_frame(char *to, const char *from, size_t bytes)
{
	memcpy(to, from, bytes);
	sink += (uint64_t)to[bytes / 2];
}

NOINLINE static void update_line(size_t line, char *to, const char *from, size_t bytes)
{
	copy_frame(to, from, bytes);
	sink += spend(3000) + line;
}

static void frames(void)
{
	static char to[1 << 20], from[1 << 20];

	for (size_t line = 0; line < 20; line++)
		update_line(line, to, from, sizeof(to));
}

/* Rows are sorted again for each request, by text. */
static char *rows[ROWS];

NOINLINE static int compare_rows(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

NOINLINE static void sort_rows(void)
{
	char *copy[ROWS];

	memcpy(copy, rows, sizeof(rows));
	qsort(copy, ROWS, sizeof(*copy), compare_rows);
	sink += (uint64_t)copy[0][0];
}

NOINLINE static void show_rows(void)
{
	sink += spend(80000);
}

static void sorting(void)
{
	for (size_t i = 0; i < ROWS && !rows[i]; i++) {
		rows[i] = malloc(32);
		snprintf(rows[i], 32, "customer %zu", i * 7919 % ROWS);
	}
	sort_rows();
	show_rows();
}

/* A list node is made and freed for each word. */
struct node {
	struct node *next;
	char word[24];
};

NOINLINE static struct node *build_index(size_t words)
{
	struct node *head = NULL;

	for (size_t i = 0; i < words; i++) {
		struct node *node = malloc(sizeof(*node));

		node->next = head;
		node->word[0] = (char)i;
		head = node;
	}
	return head;
}

NOINLINE static void drop_index(struct node *head)
{
	while (head) {
		struct node *next = head->next;

		sink += (uint64_t)head->word[0];
		free(head);
		head = next;
	}
}

NOINLINE static void index_page(void)
{
	drop_index(build_index(30000));
	sink++;
}

NOINLINE static void fetch_page(void)
{
	sink += spend(100000);
}

static void indexing(void)
{
	index_page();
	fetch_page();
}

/* Numbers are parsed by a function that is inlined into the loop over a file. */
static inline __attribute__((always_inline)) uint64_t parse_number(const char *text)
{
	uint64_t number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint64_t)(*text - '0');
	return number;
}

NOINLINE static void import_rows(size_t count)
{
	static const char *const texts[] = { "123456789", "42", "9999999", "1000000007" };

	for (size_t i = 0; i < count; i++)
		sink += parse_number(texts[i & 3]);
}

NOINLINE static void check_rows(void)
{
	sink += spend(200000);
}

static void importing(void)
{
	import_rows(60000);
	check_rows();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = { { "frames", frames },
		      { "sorting", sorting },
		      { "indexing", indexing },
		      { "importing", importing } };
	double end = now_s() + 2;

	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (strcmp(cases[i].name, argv[1]) != 0)
			continue;
		while (now_s() < end)
			cases[i].run();
	}
	return 0;
}
