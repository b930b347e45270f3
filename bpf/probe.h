/* SPDX-License-Identifier: Apache-2.0 */
/* The privileged process: loads BPF, finds processes and their tags, reads foreign memory.
 *
 *   collector --socketpair(SOCK_SEQPACKET)-- keeper --fork--> worker
 *
 * probe_start forks the keeper, which forks the worker and forks another one when it dies; each
 * worker says hello with the descriptors of its ring and counters. All of them end when the
 * collector's end of the socket closes. The collector's side needs no capability afterwards.
 * Errors are negative errno. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/event.h"

#define PROBE_MESSAGE_MAX_BYTES 1024

#define PROBE_THREAD_BYTES 384

struct probe_options {
	uint32_t ring_bytes;    /* power of two, >= 64 KiB */
	uint32_t tick_hz;       /* 0: no ticks */
	uint32_t max_processes; /* that publish at a time */
	uint32_t thread_bytes;  /* for their threads, PROBE_THREAD_BYTES each */
	uint32_t symbol_bytes;  /* for the names of code, as they are kept; 0: 16 MiB */
	uint32_t table_bytes;   /* for unwind tables; 0: 8 MiB */
	uint32_t rescan_ms;     /* how often all processes are looked at again */
	uint32_t stacks_per_s;  /* that one CPU may take; 0: none */
	uint32_t stack_wait_us; /* in a burst, one for each so long a wait of a thread */
	uint32_t kernel_stacks; /* 0: never; 1: where nothing else tells the reason; 2: always */
	uint32_t lose_switches; /* for tests: of so many, one is not reported; 0: none */
};

enum probe_message_kind {
	PROBE_HELLO = 1,   /* a worker is up and attached; two descriptors come along */
	PROBE_PROCESS = 2, /* struct event_process */
	PROBE_FAILED = 3,  /* it could not start; `text` says why and what to do */
	PROBE_DIED = 4,    /* the worker has died; another one follows */
	PROBE_STATS = 5,   /* once a second */
	PROBE_NOTE = 6,    /* something an operator should read once: `text` */
	PROBE_STACK = 7,   /* a piece of a stack's frames; the pieces of one follow each other */
};

/* Bits of probe_hello.features: what is attached. */
enum probe_feature {
	PROBE_SWITCH = 1 << 0,
	PROBE_WAKING = 1 << 1,
	PROBE_TICK = 1 << 2,
	PROBE_LIFE = 1 << 3,
	PROBE_INTERRUPTS = 1 << 4,  /* wakers are told from interrupts */
	PROBE_MMAP_EVENTS = 1 << 5, /* dlopen is noticed in a moment */
	PROBE_RAW_TP = 1 << 6,      /* raw_tp in place of tp_btf */
};

struct probe_hello {
	uint32_t version; /* EVENT_VERSION */
	uint32_t features;
	uint32_t ring_bytes;
	uint32_t cpus;
	uint64_t map_bytes; /* kernel memory of all maps */
	uint64_t time_ns;   /* CLOCK_MONOTONIC when everything was attached */
};

struct probe_stats {
	uint64_t map_bytes;
	uint64_t table_bytes; /* of these, which the worker has mapped: unwind tables' rows */
	uint32_t processes_seen;
	uint32_t processes_publishing;
	uint32_t processes_unreadable;
	uint32_t files_refused;   /* ELF files that are damaged or hostile */
	uint32_t process_refused; /* the descriptor map was full */
	uint32_t pad;
	uint64_t worker_rss_bytes;
	uint64_t frames;         /* of stacks that were named */
	uint64_t frames_unnamed; /* told as module+0x1234 */
	uint64_t frames_unknown; /* told as [unknown] */
	uint64_t symbol_bytes;
	uint32_t unwind_processes; /* that are walked by tables */
	uint32_t unwind_files;
	uint32_t unwind_refused; /* files that are damaged, or found no room */
	uint32_t unwind_rows;
	uint64_t unwind_build_ns; /* spent on making tables */
};

#define PROBE_PIECE_BYTES 960

/* The names of the stack `id`, encoded as collector/base/frame.h says. */
struct probe_stack {
	uint64_t id;
	uint32_t pid;
	uint32_t total_bytes;
	uint32_t offset; /* of this piece */
	uint32_t bytes;
	char data[PROBE_PIECE_BYTES];
};

struct probe_message {
	uint32_t kind; /* enum probe_message_kind */
	int32_t error; /* of FAILED and DIED: negative errno, or the signal number for DIED */
	union {
		struct probe_hello hello;
		struct event_process process;
		struct probe_stats stats;
		struct probe_stack stack;
		char text[512];
	};
};

_Static_assert(sizeof(struct probe_message) <= PROBE_MESSAGE_MAX_BYTES, "one packet");

struct probe;

/* Forks, so call it before any thread exists. Success means that the keeper runs; whether BPF works
 * comes as a message. */
int probe_start(const struct probe_options *options, struct probe **out_probe);

/* Closes the socket, waits for the keeper. Accepts NULL. */
void probe_stop(struct probe *probe);

/* To be polled for reading. */
int probe_fd(const struct probe *probe);

/* One message: 1; none now: 0; the keeper is gone: -EPIPE. With PROBE_HELLO, the two descriptors
 * are the caller's from now on; else they are -1. */
int probe_receive(struct probe *probe, struct probe_message *out_message, int *out_ring_fd,
		  int *out_counters_fd);
