/* SPDX-License-Identifier: Apache-2.0 */
/* C programs with one fault each: third CASE */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define RUN_S        2.5
#define CANVAS_BYTES ((size_t)4 << 20)

static volatile unsigned sink;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

__attribute__((noinline)) static unsigned spend(unsigned n)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += i ^ sum << 1;
	return sum;
}

/* A canvas is mapped, touched and given back for each frame: the kernel clears its pages. */

__attribute__((noinline)) static char *make_canvas(void)
{
	char *canvas = mmap(NULL, CANVAS_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	for (size_t i = 0; i < CANVAS_BYTES; i += 4096)
		canvas[i] = 1;
	return canvas;
}

__attribute__((noinline)) static void draw_frame(void)
{
	char *canvas = make_canvas();

	sink += spend(60000) + (unsigned)canvas[8];
	munmap(canvas, CANVAS_BYTES);
}

/* Text is searched again for each of its words. */

static char text[20000];

__attribute__((noinline)) static unsigned count_word(const char *word)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, word)); at++)
		count++;
	return count;
}

__attribute__((noinline)) static unsigned count_words(void)
{
	static const char *const words[] = { "alpha beta gamma", "abab abac", "abababac", "zzz" };
	unsigned count = 0;

	for (size_t i = 0; i < 4; i++)
		count += count_word(words[i]);
	return count;
}

__attribute__((noinline)) static void show_text(void)
{
	sink += count_words() + spend(12000);
}

int main(int argc, char **argv)
{
	double end = now_s() + RUN_S;

	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = "abababa alph"[i % 12];
	while (now_s() < end) {
		if (argc > 1 && strcmp(argv[1], "canvas") == 0)
			draw_frame();
		else
			show_text();
	}
	return 0;
}
