/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker_programs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "bpf/kernel_types.h"
#include "bpf/perf_events.h"
#include "bpf/sched.skel.h"
#include "bpf/sched_raw.skel.h"
#include "bpf/sched_uncast.skel.h"
#include "bpf/unwind.h"
#include "bpf/unwind_load.h"
#include "bpf/worker_log.h"
#include "bpf/worker_why.h"
#include "collector/base/macros.h"

struct programs {
	struct sched_bpf *typed; /* owned, as the next two; one of the three is not NULL */
	struct sched_uncast_bpf *uncast;
	struct sched_raw_bpf *raw;
	struct bpf_object *object; /* borrowed from that one */
	struct worker_shared *shared;
	struct bpf_link **links; /* owned */
	size_t link_count;
	uint32_t features;
	uint32_t tick_hz;
	char why_raw[200];
	unsigned cpus;
	int descriptors_fd, records_fd, counters_fd, control_fd, stacks_fd;
};

/* Each hook: what it is good for, and whether anything works without. */
static const struct hook {
	const char *name;
	uint32_t feature;
	bool required;
} hooks[] = {
	{ "sched_switch", PROBE_SWITCH, true },
	{ "sched_waking", PROBE_WAKING, true },
	{ "sched_wakeup_new", PROBE_WAKING | PROBE_LIFE, true },
	{ "sched_process_exec", PROBE_LIFE, true },
	{ "sched_process_exit", PROBE_LIFE, true },
	{ "softirq_entry", PROBE_INTERRUPTS, false },
	{ "softirq_exit", PROBE_INTERRUPTS, false },
	{ "softirq_raise", PROBE_INTERRUPTS, false },
	{ "irq_handler_entry", PROBE_INTERRUPTS, false },
	{ "irq_handler_exit", PROBE_INTERRUPTS, false },
	{ "hrtimer_expire_entry", PROBE_INTERRUPTS, false },
	{ "hrtimer_expire_exit", PROBE_INTERRUPTS, false },
	{ "irq_work_entry", PROBE_INTERRUPTS, false },
	{ "irq_work_exit", PROBE_INTERRUPTS, false },
};

/* ---- before loading */

_Static_assert(TABLE_PLACE_BYTES == PROBE_THREAD_BYTES, "as options are reckoned with");

/* Sets of the table of threads: a power of two. */
static uint32_t count_sets(const struct probe_options *options)
{
	uint32_t wanted = options->thread_bytes / (TABLE_WAYS * TABLE_PLACE_BYTES), sets = 1;

	while (sets * 2 <= MIN(wanted, TABLE_MAX_SETS))
		sets *= 2;
	return sets;
}

/* Rows of unwind tables: whole pages of them, for they are mapped. */
static uint32_t count_pieces(const struct probe_options *options)
{
	uint32_t rows =
		MIN(options->table_bytes / (uint32_t)sizeof(struct unwind_row), UNWIND_MAX_ROWS);

	return MAX(rows, UNWIND_LEAST_ROWS) / UNWIND_PIECE_ROWS;
}

static void set_knobs(struct worker_knobs *knobs, const struct programs_options *options,
		      const struct btf *kernel)
{
	knobs->no_targets = options->no_targets;
	knobs->no_wakers = options->no_wakers;
	knobs->no_servers = options->no_servers;
	knobs->again = (__u8)options->again;
	if (options->cuts_at_timers)
		knobs->timer_cuts = TIMER_CUTS_ALWAYS;
	else if (options->probe.tick_hz)
		knobs->timer_cuts = TIMER_CUTS_STOLEN;
	if (options->probe.stacks_per_s)
		knobs->stack_interval_ns =
			MAX(1u, (uint32_t)(NS_PER_SEC / options->probe.stacks_per_s));
	knobs->stack_wait_ns = options->probe.stack_wait_us * 1000;
	knobs->kernel_stacks = (__u8)options->probe.kernel_stacks;
	knobs->lose_switches = options->probe.lose_switches;
	knobs->set_mask = count_sets(&options->probe) - 1;
	knobs->has_prev_state = kernel_types_pass_prev_state(kernel);
	knobs->keeps_cpu = kernel_types_keep_cpu(kernel);
}

/* What this kernel does not have must not keep the rest from loading. */
static void skip_missing_hooks(struct bpf_object *object, const struct btf *kernel)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(object, hooks[i].name);

		if (!hooks[i].required && !kernel_types_have_hook(kernel, hooks[i].name))
			bpf_program__set_autoload(program, false);
	}
}

static int set_sizes(struct programs *programs, const struct probe_options *options)
{
	const struct {
		const char *map;
		uint32_t entries; /* 0: as it was built */
	} sizes[] = {
		{ "records", options->ring_bytes },
		{ "descriptors", options->max_processes },
		{ "threads", count_sets(options) * TABLE_WAYS },
		{ "unwind_rows", options->table_bytes ? count_pieces(options) : 0 },
		{ "drafts", programs->cpus },
		{ "changes_drafts", programs->cpus },
		{ "desks", programs->cpus * DESK_USERS },
		{ "counters", programs->cpus },
	};
	int status = 0;

	for (size_t i = 0; status == 0 && i < ARRAY_LEN(sizes); i++)
		if (sizes[i].entries)
			status = bpf_map__set_max_entries(
				bpf_object__find_map_by_name(programs->object, sizes[i].map),
				sizes[i].entries);
	return status;
}

/* ---- loading: typed tracepoints, or else raw ones */

static int prepare(struct programs *programs, struct bpf_object *object, struct worker_knobs *knobs,
		   const struct programs_options *options, const struct btf *kernel)
{
	programs->object = object;
	set_knobs(knobs, options, kernel);
	skip_missing_hooks(object, kernel);
	return set_sizes(programs, &options->probe);
}

/* What the three skeletons have in common but in name. */
#define DEFINE_LOAD(form, skeleton)                                                                \
	static int load_##form(struct programs *programs, const struct programs_options *options,  \
			       const struct btf *kernel)                                           \
	{                                                                                          \
		LIBBPF_OPTS(bpf_object_open_opts, like, .btf_custom_path = options->types);        \
                                                                                                   \
		programs->form = skeleton##__open_opts(&like);                                     \
		if (!programs->form)                                                               \
			return -errno;                                                             \
		int status = prepare(programs, programs->form->obj,                                \
				     &programs->form->rodata->knobs, options, kernel);             \
                                                                                                   \
		if (status == 0)                                                                   \
			status = skeleton##__load(programs->form);                                 \
		if (status == 0)                                                                   \
			programs->shared = &programs->form->bss->shared;                           \
		return status;                                                                     \
	}

DEFINE_LOAD(typed, sched_bpf)
/* Before 6.10: without the cast (6.2, a35b9af4ec2c), and what keeps a CPU. */
DEFINE_LOAD(uncast, sched_uncast_bpf)
DEFINE_LOAD(raw, sched_raw_bpf)

static int load(struct programs *programs, const struct programs_options *options,
		const struct btf *kernel)
{
	bool has_functions = kernel_types_have_functions(kernel);
	int status;

	if (options->form == PROGRAMS_RAW) {
		programs->features |= PROBE_RAW_TP;
		return load_raw(programs, options, kernel);
	}
	status = has_functions && options->form != PROGRAMS_UNCAST
			 ? load_typed(programs, options, kernel)
			 : load_uncast(programs, options, kernel);
	/* Without the right to load anything, another attempt only blurs the reason. */
	if (status == 0 || status == -EPERM || status == -ENOMEM || options->form != PROGRAMS_ANY)
		return status;
	sched_bpf__destroy(programs->typed);
	programs->typed = NULL;
	sched_uncast_bpf__destroy(programs->uncast);
	programs->uncast = NULL;
	snprintf(programs->why_raw, sizeof(programs->why_raw), "%s", worker_log_last());
	worker_log_capture();
	programs->features |= PROBE_RAW_TP;
	return load_raw(programs, options, kernel) == 0 ? 0 : status;
}

/* ---- attaching */

static int keep_link(struct programs *programs, struct bpf_link *link)
{
	if (!link)
		return -errno;
	programs->links[programs->link_count++] = link;
	return 0;
}

static int attach_hooks(struct programs *programs)
{
	uint32_t missing = 0;

	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		struct bpf_program *program =
			bpf_object__find_program_by_name(programs->object, hooks[i].name);
		int status = bpf_program__autoload(program)
				     ? keep_link(programs, bpf_program__attach(program))
				     : -ENOENT;

		if (status < 0 && hooks[i].required)
			return status;
		if (status < 0)
			missing |= hooks[i].feature;
		programs->features |= hooks[i].feature;
	}
	programs->features &= ~missing;
	return 0;
}

/* Slices of threads that do not switch would grow without end; but a machine without the cpu-clock
 * event is still worth something. */
static void attach_ticks(struct programs *programs)
{
	struct bpf_program *program = bpf_object__find_program_by_name(programs->object, "tick");
	uint32_t hz = programs->tick_hz;
	bool attached = hz > 0;

	for (unsigned cpu = 0; cpu < programs->cpus && hz > 0; cpu++) {
		int fd = perf_events_open_tick(cpu, hz);

		if (fd == -ENODEV) /* possible, but offline */
			continue;
		if (fd >= 0 &&
		    keep_link(programs, bpf_program__attach_perf_event(program, fd)) == 0)
			continue;
		if (fd >= 0)
			close(fd);
		attached = false;
	}
	if (attached)
		programs->features |= PROBE_TICK;
}

int programs_attach(struct programs *programs)
{
	int status = attach_hooks(programs);

	if (status < 0)
		programs_detach(programs);
	else
		attach_ticks(programs);
	return status;
}

void programs_detach(struct programs *programs)
{
	for (size_t i = 0; i < programs->link_count; i++)
		bpf_link__destroy(programs->links[i]);
	programs->link_count = 0;
}

static int find_maps(struct programs *programs)
{
	struct bpf_object *object = programs->object;

	programs->descriptors_fd = bpf_object__find_map_fd_by_name(object, "descriptors");
	programs->records_fd = bpf_object__find_map_fd_by_name(object, "records");
	programs->counters_fd = bpf_object__find_map_fd_by_name(object, "counters");
	programs->control_fd = bpf_object__find_map_fd_by_name(object, "control");
	programs->stacks_fd = bpf_object__find_map_fd_by_name(object, "stacks");
	return programs->descriptors_fd < 0 || programs->records_fd < 0 ||
			       programs->counters_fd < 0 || programs->control_fd < 0 ||
			       programs->stacks_fd < 0
		       ? -EINVAL
		       : 0;
}

/* ---- life */

int programs_open(const struct programs_options *options, char *why, size_t why_bytes,
		  struct programs **out_programs)
{
	struct programs *programs = calloc(1, sizeof(*programs));
	int cpus = libbpf_num_possible_cpus();
	bool loaded = false;
	int status;

	if (!programs)
		return -ENOMEM;
	worker_log_capture();
	programs->cpus = cpus > 0 ? (unsigned)cpus : 1;
	programs->tick_hz = options->probe.tick_hz;
	programs->links = calloc(ARRAY_LEN(hooks) + programs->cpus, sizeof(struct bpf_link *));
	struct btf *kernel = options->types ? btf__parse(options->types, NULL)
					    : kernel_types_open(why, why_bytes);

	if (!kernel) {
		status = -ENOENT;
		goto close_programs;
	}
	status = !programs->links                  ? -ENOMEM
		 : programs->cpus > EVENT_MAX_CPUS ? -E2BIG
						   : load(programs, options, kernel);
	btf__free(kernel);
	loaded = status == 0;
	if (status == 0)
		status = find_maps(programs);
	if (status == 0)
		status = programs_attach(programs);
	if (status < 0) {
		const struct worker_failure failure = {
			.status = status,
			.cpus = programs->cpus,
			.loaded = loaded,
			.locked = worker_why_locked("/sys/kernel/security/lockdown"),
			.detail = worker_log_last(),
		};

		worker_why(&failure, why, why_bytes);
		goto close_programs;
	}
	*out_programs = programs;
	return 0;
close_programs:
	programs_close(programs);
	return status;
}

void programs_close(struct programs *programs)
{
	if (!programs)
		return;
	programs_detach(programs);
	free(programs->links);
	sched_bpf__destroy(programs->typed);
	sched_uncast_bpf__destroy(programs->uncast);
	sched_raw_bpf__destroy(programs->raw);
	free(programs);
}

struct worker_shared *programs_shared(struct programs *programs)
{
	return programs->shared;
}

uint32_t programs_features(const struct programs *programs)
{
	return programs->features;
}

const char *programs_why_raw(const struct programs *programs)
{
	return programs->why_raw;
}

unsigned programs_cpus(const struct programs *programs)
{
	return programs->cpus;
}

int programs_records_fd(const struct programs *programs)
{
	return programs->records_fd;
}

int programs_counters_fd(const struct programs *programs)
{
	return programs->counters_fd;
}

int programs_control_fd(const struct programs *programs)
{
	return programs->control_fd;
}

int programs_stacks_fd(const struct programs *programs)
{
	return programs->stacks_fd;
}

void programs_tables(const struct programs *programs, struct unwind_load_fds *out_fds)
{
	struct bpf_object *object = programs->object;

	*out_fds = (struct unwind_load_fds){
		.rows = bpf_object__find_map_fd_by_name(object, "unwind_rows"),
		.pages = bpf_object__find_map_fd_by_name(object, "unwind_pages"),
		.mappings = bpf_object__find_map_fd_by_name(object, "unwind_mappings"),
		.processes = bpf_object__find_map_fd_by_name(object, "unwind_processes"),
		.pythons = bpf_object__find_map_fd_by_name(object, "python_processes"),
		.kernel_waits = bpf_object__find_map_fd_by_name(object, "kernel_waits"),
	};
}

struct bpf_object *programs_object(const struct programs *programs)
{
	return programs->object;
}

/* What the kernel itself says that a map takes. */
static uint64_t memlock_of(int map_fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map_fd);
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	fclose(file);
	return bytes;
}

uint64_t programs_table_bytes(const struct programs *programs)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(programs->object, "unwind_rows");
	uint32_t pieces = 0, id;

	for (uint32_t piece = 0; piece < bpf_map__max_entries(map); piece++)
		pieces += bpf_map_lookup_elem(bpf_map__fd(map), &piece, &id) == 0;
	return pieces * UNWIND_PIECE_ROWS * sizeof(struct unwind_row);
}

uint64_t programs_map_bytes(const struct programs *programs)
{
	const struct bpf_map *map;
	uint64_t bytes = 0;

	bpf_object__for_each_map(map, programs->object) bytes += memlock_of(bpf_map__fd(map));
	return bytes + programs_table_bytes(programs);
}

int programs_follow(struct programs *programs, uint32_t pid,
		    const struct tag_descriptor *descriptor)
{
	if (pid >= WORKER_PIDS)
		return -EINVAL;
	uint64_t *word = (uint64_t *)&programs->shared->tracked[pid / 64];
	uint64_t bit = 1ull << (pid % 64);

	if (!descriptor) {
		__atomic_fetch_and(word, ~bit, __ATOMIC_SEQ_CST);
		bpf_map_delete_elem(programs->descriptors_fd, &pid);
		return 0;
	}
	struct tag_descriptor marked = *descriptor;

	marked.is_plain = marked.count == 1 && marked.form == TAG_FORM_RECORD &&
			  marked.variables[0].access == TAG_STATIC;
	int status = bpf_map_update_elem(programs->descriptors_fd, &pid, &marked, BPF_ANY);

	if (status < 0)
		return -errno;
	__atomic_fetch_add(&programs->shared->generation, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
	return 0;
}

bool programs_is_followed(const struct programs *programs, uint32_t pid)
{
	return pid < WORKER_PIDS &&
	       __atomic_load_n(&programs->shared->tracked[pid / 64], __ATOMIC_RELAXED) >> pid % 64 &
		       1;
}
