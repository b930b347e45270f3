/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/profile_foreign.h"

#include <stdbool.h>

#include "collector/base/macros.h"

#define LOOKED_AT ((size_t)4096)
#define MAGIC(literal)                                                                             \
	{                                                                                          \
		(literal), sizeof(literal) - 1                                                     \
	}

static const struct foreign {
	struct str magic;
	char first; /* the file begins with it, and `magic` stands near; 0: it begins with `magic`
		     */
	const char *advice;
} foreigns[] = {
	{ MAGIC("FLR\0"), 0,
	  "a JFR recording: make collapsed stacks of it, with async-profiler's `jfrconv --cpu IN "
	  "OUT.collapsed`, and read those" },
	{ MAGIC("PERFILE2"), 0,
	  "perf's own file: `perf script -i IN > OUT` makes text of it; read that" },
	{ MAGIC("\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0"), 0,
	  "a CPU profile of gperftools: `pprof -proto PROGRAM IN > OUT.pb.gz` makes pprof of it; "
	  "read that" },
	{ MAGIC("heap profile: "), 0,
	  "a heap profile as text: `pprof -proto PROGRAM IN > OUT.pb.gz` makes pprof of it; of Go, "
	  "take /debug/pprof/heap without debug=1" },
	{ MAGIC("heap_v2/"), 0,
	  "a heap profile of jemalloc: `jeprof --collapsed PROGRAM IN > OUT` makes stacks of it; "
	  "read those with --kind heap --unit bytes" },
	{ MAGIC("goroutine profile: total"), 0,
	  "goroutines as text: take /debug/pprof/goroutine without debug=1" },
	{ MAGIC("goroutine "), 0,
	  "a dump of goroutines: take /debug/pprof/goroutine without debug=2" },
	{ MAGIC("--- contention"), 0, "text for people: take the profile without debug=1" },
	{ MAGIC("--- mutex"), 0, "text for people: take the profile without debug=1" },
	{ MAGIC("go 1."), 0,
	  "an execution trace of Go: `go tool trace -pprof=net|sync|syscall|sched IN > OUT` makes "
	  "pprof of it; read that" },
	{ MAGIC("\x7f"
		"ELF"),
	  0, "a program, not a profile of one" },
	{ MAGIC("# callgrind format"), '#',
	  "callgrind's counts of instructions: no samples; `gprof2dot` and kcachegrind read them" },
	{ MAGIC("<svg"), '<', "a picture: give the file that it was made from" },
	{ MAGIC("<html"), '<', "a page: give the file that it was made from" },
	{ MAGIC("<!DOCTYPE"), '<', "a page: give the file that it was made from" },
	{ MAGIC("\"traceEvents\""), '{',
	  "a trace of events: save the CPU profile alone (.cpuprofile), or export speedscope" },
	{ MAGIC("\"snapshot\":{\"meta\""), '{',
	  "a heap snapshot of V8: take two pprof heap profiles instead (the npm package pprof)" },
	{ MAGIC("{\"head\":{\"callFrame\""), 0,
	  "a heap profile of V8: take two pprof heap profiles instead (the npm package pprof)" },
	{ MAGIC("Nettrace"), 0, "a trace of .NET: `dotnet-trace convert --format Speedscope IN`" },
	{ MAGIC("\x78\x01"), 0, "packed, but not by gzip: unpack it" },
	{ MAGIC("\x28\xb5\x2f\xfd"), 0, "packed by zstd: unpack it" },
	{ MAGIC("PK\3\4"), 0, "a zip archive: unpack it" },
};

static bool is_it(const struct foreign *foreign, struct str head)
{
	struct str magic = foreign->magic;

	if (head.len < magic.len)
		return false;
	if (!foreign->first)
		return memcmp(head.data, magic.data, magic.len) == 0;
	return head.data[0] == foreign->first &&
	       memmem(head.data, head.len, magic.data, magic.len) != NULL;
}

const char *profile_foreign_advice(struct str head)
{
	struct str looked = { head.data, MIN(head.len, LOOKED_AT) };

	for (size_t i = 0; i < ARRAY_LEN(foreigns); i++) {
		if (is_it(&foreigns[i], looked))
			return foreigns[i].advice;
	}
	return NULL;
}
