/* SPDX-License-Identifier: Apache-2.0 */
/* A make-believe machine that knows the truth: threads with little programs, run on CPUs.
 *
 *   scenarios append operations to threads -> schedule_run() -> stretches (the truth, oracle.h)
 *                                                            `-> records (what BPF would write)
 *
 * Everything follows from the seed. Times are CLOCK_MONOTONIC ns. A thread's operations take no
 * time, but for RUN, STOLEN, BLOCK and WAIT. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bpf/event.h"
#include "correlate/ledger.h"

#define SCHEDULE_MAX_CPUS  4
#define SCHEDULE_NEVER     UINT64_MAX
#define SCHEDULE_START_NS  10000000000ull
#define SCHEDULE_EPOCH_NS  1700000000000000000ull /* Unix time less monotonic time */
#define SCHEDULE_TICK_NS   10101010ull            /* 99 Hz */
#define SCHEDULE_TURN_NS   3000000ull             /* then another one may have the CPU */
#define SCHEDULE_MAX_STACK 16
#define US                 1000ull
#define MS                 1000000ull

struct rng {
	uint64_t state;
};

uint64_t rng_below(struct rng *rng, uint64_t limit);
uint64_t rng_between(struct rng *rng, uint64_t least, uint64_t most);
/* As many small ones as large ones. */
uint64_t rng_scale(struct rng *rng, uint64_t least, uint64_t most);
bool rng_chance(struct rng *rng, unsigned percent);

enum wait_kind { WAIT_FUTEX, WAIT_NET, WAIT_SLEEP, WAIT_PIPE, WAIT_DISK, WAIT_POLL, WAIT_KINDS };

enum op_kind {
	OP_RUN,     /* ns on a CPU */
	OP_STOLEN,  /* ns that the hypervisor took: on a CPU for all who look, yet not counted */
	OP_BLOCK,   /* ns, by `wait` */
	OP_WAIT,    /* until `flag` is set, by `wait` */
	OP_SET,     /* `flag`, and wake who waits for it */
	OP_START,   /* `span` begins: its exported start */
	OP_END,     /* ... and ends */
	OP_FROM,    /* ... it is told to have begun now, when it is marked later, or not at all */
	OP_TO,      /* ... to have ended */
	OP_MARK,    /* it is */
	OP_PUSH,    /* the thread works for `span` from now on */
	OP_POP,     /* ... no longer */
	OP_PUBLISH, /* `span`, or nothing (-1); logged as of `ns` ago */
	OP_TURN,    /* something else, and nothing else shows; logged by who marks spans */
	OP_CLONE,   /* `thread` is born, in this process; it shows nothing */
	OP_FORK,    /* `thread` is born, in a process of its own, and shows what this one shows */
	OP_EXEC,    /* the process becomes another program, which is looked into after `ns` */
	OP_EXIT,
};

struct op {
	uint8_t kind;
	uint8_t wait; /* enum wait_kind */
	int32_t span;
	union {
		uint32_t flag, thread;
	};
	uint64_t ns;
};

struct true_span {
	uint64_t trace, id;
	int32_t parent; /* -1: a root */
	uint32_t process;
	uint8_t kind;    /* enum span_kind */
	uint8_t library; /* whose resource it is told with; 0: its process's own */
	bool is_exported;
	uint64_t start_ns, end_ns; /* end 0: not ended */
};

/* A thread in one state, working for one span. */
struct stretch {
	uint64_t start_ns, end_ns;
	uint64_t cpu_start_ns, cpu_end_ns; /* the thread's CPU clock */
	uint64_t since_ns;                 /* when it blocked */
	int32_t span;                      /* the innermost; -1: none */
	uint8_t state;                     /* enum ledger_state */
	uint8_t reason;
};

struct true_process {
	uint32_t pid;
	bool publishes;
	bool says_pid;         /* its spans' resource names it */
	bool is_exact;         /* its threads log each change of their tag, ... */
	uint64_t logs_from_ns; /* ... from then on */
	bool marks;            /* ... and where spans begin and end */
	bool is_forked;
	bool libraries_say_pid; /* ... as says_pid, of its libraries' resources */
	uint64_t watched_ns;    /* nothing is recorded of it before */
	bool is_foreign;        /* on another node: nothing but its spans is heard of */
};

enum thread_state { THREAD_UNBORN, THREAD_READY, THREAD_ON_CPU, THREAD_BLOCKED, THREAD_DONE };

/* The scheduler's clock is the time less what was taken from its CPU. It is read now and then: what
 * it books in between, it books from the last reading. */
struct clock_reading {
	uint64_t time_ns, offset_ns;
};

struct true_thread {
	uint32_t tid, process;
	int32_t pinned_cpu; /* -1: none */
	struct op *ops;     /* owned */
	uint32_t op_count, at;
	struct stretch *stretches; /* owned */
	uint32_t stretch_count, slice_first_stretch;
	int32_t stack[SCHEDULE_MAX_STACK];
	uint32_t depth;
	int32_t published;
	uint64_t read_ns; /* when the program read the clock last, for an edge or its log */
	/* the scheduler's view */
	enum thread_state state;
	bool is_dead, is_reused; /* it has ended; and another one has its number */
	uint32_t cpu;
	uint64_t ready_ns; /* since when it waits for a CPU */
	uint64_t wake_ns;  /* of a timed wait */
	int64_t waits_for; /* flag; -1: none */
	uint64_t run_left_ns;
	bool is_stolen;
	uint64_t in_ns, turn_ns, exec_ns;
	struct clock_reading booked_from; /* while it is on a CPU */
	uint32_t woken_cpu;               /* whose clock was read for it */
	/* the record being built */
	uint64_t cut_in_ns, cut_exec_in_ns, cut_exec_start_in_ns, prev_out_ns, waking_ns;
	uint64_t cut_stolen_in_ns;
	uint64_t last_exec_out_ns;
	uint32_t cut_flags;
	int32_t cut_tag; /* what BPF read last */
	bool cut_tag_known;
	bool has_waker;
	struct event_waker waker;
	struct event_change *changes; /* owned: logged since the last record */
	uint32_t change_count;
};

struct true_cpu {
	int32_t thread; /* -1: idle */
	uint64_t next_tick_ns;
	uint64_t offset_ns; /* of the scheduler's clock: what was taken */
	uint64_t base_ns;   /* ... and where it began, and how fast it drifts */
	uint64_t drift_ppm;
	struct clock_reading reading;
	uint64_t switched_ns;     /* last switch: one reading is for both */
	uint64_t stolen_until_ns; /* nothing happens on a CPU that is not there */
};

struct record {
	struct event_slice slice;
	uint8_t tails[2 * sizeof(struct event_tag) + sizeof(struct event_target) +
		      sizeof(struct event_waker)];
	uint32_t thread;
	uint64_t in_ns; /* also where the record says it was lost */
	bool is_dropped;
	bool is_refused;              /* the thread was not followed then */
	struct event_change *changes; /* owned: told before it */
	uint32_t change_count;
};

/* A fork, or that a process became another program, which is told of then. */
struct life_record {
	struct event_life event;
	uint64_t described_ns; /* 0: nothing more is */
	uint32_t first_record; /* that comes after it */
};

/* A tick that read both clocks. */
struct clock_record {
	struct event_clock event;
	uint64_t time_ns;
};

struct schedule_knobs {
	uint32_t cpus;
	bool has_lag;       /* the scheduler books from old readings */
	bool has_steal;     /* time is stolen */
	bool has_delay;     /* tags follow their spans late */
	bool tells_stolen;  /* the kernel says what was stolen */
	bool tells_clock;   /* ticks read both clocks */
	bool is_exact;      /* threads of the services tell each change of their tag */
	bool has_marks;     /* ... and mark where spans begin and end */
	bool has_unshown;   /* ... of which some are begun ahead, ended late, or never shown */
	bool has_forks;     /* they fork within spans */
	bool has_no_turns;  /* and never put a span aside for another one */
	bool has_styles;    /* they do what scenario_styles.c has */
	bool has_lends;     /* ... and carry each other's spans */
	bool hides_turns;   /* none is sure to show */
	bool has_hidden;    /* traces that nobody exports lie within spans */
	bool has_parts;     /* spans are worked at by several threads, beside their parents */
	bool logs_late;     /* threads begin to log at some time */
	bool has_slips;     /* what scenario_slips.c has */
	bool has_libraries; /* spans have resources of libraries in their process */
	bool reuses_tids;   /* a thread may get the number of one that has ended */
	uint32_t crowd;     /* so many threads may serve; 0: a few */
};

struct schedule {
	uint64_t seed;
	struct rng rng,
		clock_rng; /* the latter: what is told of clocks, and changes nothing else */
	struct schedule_knobs knobs;
	uint64_t now_ns;
	struct true_cpu cpus[SCHEDULE_MAX_CPUS];
	struct true_process *processes;
	struct true_thread *threads;
	struct true_span *spans;
	struct record *records;      /* by out_ns */
	struct clock_record *clocks; /* by time, of each CPU */
	struct life_record *lives;   /* by time */
	uint8_t *flags;              /* set */
	uint32_t clock_count, life_count;
	uint32_t process_count, thread_count, span_count, record_count, flag_count;
};

struct schedule *schedule_new(uint64_t seed, const struct schedule_knobs *knobs);
void schedule_free(struct schedule *schedule);

uint32_t schedule_process(struct schedule *schedule, bool publishes);
uint32_t schedule_thread(struct schedule *schedule, uint32_t process);
/* One that will be made by another one of its process. */
uint32_t schedule_unborn(struct schedule *schedule, uint32_t process);
/* A process of another node, which has no threads here. */
uint32_t schedule_foreign(struct schedule *schedule);
/* The only thread of a process of its own: it is born when a thread of `parent` forks it. */
uint32_t schedule_child(struct schedule *schedule, uint32_t parent);
int32_t schedule_span(struct schedule *schedule, uint32_t process, int32_t parent);
uint32_t schedule_flag(struct schedule *schedule);
void schedule_op(struct schedule *schedule, uint32_t thread, struct op op);

/* Runs all programs to their ends. */
void schedule_run(struct schedule *schedule);

struct event_tag schedule_tag(const struct schedule *schedule, int32_t span);
/* Array with room for one more; capacities are powers of two. */
void *schedule_grow(void *items, uint32_t count, size_t item_bytes);
