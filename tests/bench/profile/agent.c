/* SPDX-License-Identifier: Apache-2.0 */
/* What a sample costs the sampled program, against correlate/agent_model: a signal, 40 frames deep,
 * whose handler unwinds, and keeps the addresses or resolves each of them on the spot. Times a
 * rate, that is the overhead; timers of the CPU clock do not tick at 1,000 Hz everywhere, so the
 * rate is arithmetic.
 *
 * Prints the overhead of 99 and 1,000 Hz as measured and as predicted. */
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "correlate/agent_model.h"

#define DEPTH   40
#define SAMPLES 2000
#define REPEAT  7

static volatile uint64_t sink;
static volatile bool resolves;
static volatile unsigned samples;

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The least of several runs: what others take from the machine only adds. */
__attribute__((noinline)) static double sample_s(unsigned depth)
{
	double best = 1e9;

	if (depth > 0)
		return sample_s(depth - 1) + 0 * (double)sink;
	for (int k = 0; k < REPEAT; k++) {
		double start = cpu_s();

		for (int i = 0; i < SAMPLES; i++)
			raise(SIGPROF);
		start = (cpu_s() - start) / SAMPLES;
		best = start < best ? start : best;
	}
	return best;
}

static void on_tick(int signal)
{
	void *addresses[DEPTH + 16];
	int count = backtrace(addresses, DEPTH + 16);
	Dl_info info;

	(void)signal;
	samples++;
	for (int i = 0; resolves && i < count; i++)
		sink += (uint64_t)dladdr(addresses[i], &info);
}

static void print(const char *what, double hz, enum agent_symbols symbols, double cost_s)
{
	struct agent_settings settings = {
		.agent = "bench", .rate_hz = hz, .default_rate_hz = 99, .symbols = symbols
	};

	printf("%-28s %6.1f us a sample  measured %5.2f %%  predicted %5.2f %%\n", what,
	       cost_s * 1e6, 100 * cost_s * hz, agent_model_cost(&settings));
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
	double later_s, inline_s;
	void *warm[4];

	backtrace(warm, 4); /* loads the unwinder outside of a handler */
	sigaction(SIGPROF, &action, NULL);
	later_s = sample_s(DEPTH);
	resolves = true;
	inline_s = sample_s(DEPTH);
	print("99 Hz, symbols later", 99, AGENT_SYMBOLS_ASYNC, later_s);
	print("1,000 Hz, symbols later", 1000, AGENT_SYMBOLS_ASYNC, later_s);
	print("1,000 Hz, symbols in line", 1000, AGENT_SYMBOLS_INLINE, inline_s);
	return 0;
}
