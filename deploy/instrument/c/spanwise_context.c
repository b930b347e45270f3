/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "spanwise_context.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; earlier ones answer EINVAL */
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

/* ---- the thread's context, OTEP 4947 ---- */

/* Written by its thread alone, read while that thread is stopped: compiler fences are all the
 * order there is, and `valid` is 0 whenever the rest is not whole. */
struct record {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	volatile uint8_t valid;
	uint8_t trace_flags;
	uint16_t attrs_bytes; /* always 0: we publish no attributes */
};

_Static_assert(offsetof(struct record, valid) == 24 && sizeof(struct record) == 28, "OTEP 4947");

/* The exact mode's log of changes; its layout is in README.md. It lies behind the record, where
 * readers of the OTEP do not look. */
#define LOG_SIGNATURE 0x31474e4843575053U /* "SPWCHNG1" */
#define LOG_CAPACITY  4096U        /* 400,000 changes a second, as it is read 99 times in it */
#define LOG_MARK      (1ULL << 63) /* of the time: no change, but a span's begin or end */

struct change {
	uint64_t time_ns;     /* CLOCK_MONOTONIC */
	uint8_t trace_id[16]; /* zero: no span */
	uint8_t span_id[8];
};

struct log {
	uint64_t signature; /* 0: there is no log */
	uint64_t changes;   /* address of the ring */
	volatile uint64_t written;
	uint32_t capacity;
	uint32_t reserved;
};

/* In the flags of a record that is not valid, and holds no ids. */
#define SHOWS_NONE 0x80

/* One object, so that a library looks its address up once; the exported variable is its start. */
static __thread struct {
	struct record *published;
	struct record record;
	struct log log;
	struct change *changes; /* of the ring; NULL: none yet */
	volatile bool is_changing;
	bool has_no_log; /* for want of memory; for good, or what is missing would not show */
	bool marks;      /* it marks where spans begin and end ... */
	bool may_turn;   /* ... and has logged something since its last turn */
} own = { .record.trace_flags = SHOWS_NONE };

_Static_assert(sizeof(struct change) == 32 && sizeof(struct log) == 32, "README.md");
_Static_assert(offsetof(__typeof__(own), log) - offsetof(__typeof__(own), record) == 32,
	       "README.md");

static bool is_exact; /* never becomes false again: what is not logged would not show */

extern __thread void *otel_thread_ctx_v1 __attribute__((alias("own"), visibility("default")));

/* Every function below starts with this and none is inlined: with TLS descriptors, glibc
 * before 2.40 may clobber vector registers when a thread first touches the variable (bug 31372),
 * which is harmless where nothing is held in them yet. The record's `valid` guards it from the
 * start, so the pointer may be set before there is anything to see. */
#define OUTLINE __attribute__((noinline))

static inline void begin(struct record *record)
{
	record->valid = 0;
	atomic_signal_fence(memory_order_seq_cst);
}

static inline void end(struct record *record, uint8_t valid)
{
	atomic_signal_fence(memory_order_seq_cst);
	record->valid = valid;
}

/* No span, for whoever looks: a record that is not valid may be half written, but not if it says
 * so. */
static inline void clear(struct record *record)
{
	memset(record->trace_id, 0, sizeof(record->trace_id));
	memset(record->span_id, 0, sizeof(record->span_id));
	record->trace_flags = SHOWS_NONE;
}

/* ---- the log of changes: exact mode ---- */

/* Rings outlive their threads, for a reader looks at them last when the thread is gone: whoever
 * needs one takes that of a dead thread. They are never unmapped. */
struct ring {
	struct ring *next;
	_Atomic pid_t owner;
	struct change changes[LOG_CAPACITY];
};

#define RINGS_LOOKED_AT 4 /* one thread that ends leaves one ring: so many a search keeps up */

static struct ring *_Atomic rings;
static struct ring *_Atomic rings_hand; /* where the next search begins */

static bool is_dead(pid_t tid)
{
	return syscall(SYS_tgkill, getpid(), tid, 0) < 0 && errno == ESRCH;
}

static struct ring *take_ring_of_the_dead(pid_t tid)
{
	struct ring *ring = atomic_load(&rings_hand);

	for (int i = 0; i < RINGS_LOOKED_AT; i++) {
		pid_t owner;

		ring = ring && ring->next ? ring->next : atomic_load(&rings);
		if (!ring)
			return NULL;
		atomic_store(&rings_hand, ring);
		owner = atomic_load(&ring->owner);
		if (is_dead(owner) && atomic_compare_exchange_strong(&ring->owner, &owner, tid))
			return ring;
	}
	return NULL;
}

static struct ring *make_ring(pid_t tid)
{
	struct ring *ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ring == MAP_FAILED)
		return NULL;
	atomic_store(&ring->owner, tid);
	ring->next = atomic_load(&rings);
	while (!atomic_compare_exchange_weak(&rings, &ring->next, ring)) {
	}
	return ring;
}

/* Once in a thread's life. */
static OUTLINE void open_log(void)
{
	int saved = errno;
	pid_t tid = (pid_t)syscall(SYS_gettid);
	struct ring *ring = take_ring_of_the_dead(tid);

	if (!ring)
		ring = make_ring(tid);
	errno = saved;
	own.has_no_log = !ring;
	if (!ring)
		return;
	own.changes = ring->changes;
	own.log.changes = (uint64_t)(uintptr_t)ring->changes;
	own.log.capacity = LOG_CAPACITY;
	atomic_signal_fence(memory_order_seq_cst);
	own.log.signature = LOG_SIGNATURE;
}

/* The log is there before the pointer: so a reader knows of each thread whether it keeps one. */
static inline struct record *own_record(void)
{
	if (__builtin_expect(is_exact, 0) && !own.published && !own.is_changing) {
		own.is_changing = true; /* as long as a signal handler must not open it, too */
		open_log();
		own.is_changing = false;
	}
	own.published = &own.record;
	return &own.record;
}

/* The child has a copy of everything, but its thread has another tid. */
static void inherit_rings(void)
{
	struct ring *ring = NULL;

	if (own.changes)
		ring = (struct ring *)(void *)((char *)own.changes -
					       offsetof(struct ring, changes));
	if (ring) {
		ring->next = NULL;
		atomic_store(&ring->owner, (pid_t)syscall(SYS_gettid));
	}
	atomic_store(&rings, ring);
	atomic_store(&rings_hand, NULL);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Where the next change goes, with its time. NULL: it is not logged. */
static struct change *begin_change(void)
{
	struct change *change;

	if (!own.changes && !own.has_no_log)
		open_log();
	if (!own.changes)
		return NULL;
	change = &own.changes[own.log.written % LOG_CAPACITY];
	change->time_ns = now_ns(CLOCK_MONOTONIC);
	return change;
}

/* `trace_id` NULL: none. */
static void put_ids(struct change *change, const uint8_t *trace_id, const uint8_t *span_id)
{
	memset(change->trace_id, 0, sizeof(change->trace_id));
	memset(change->span_id, 0, sizeof(change->span_id));
	if (!trace_id)
		return;
	memcpy(change->trace_id, trace_id, sizeof(change->trace_id));
	memcpy(change->span_id, span_id, sizeof(change->span_id));
}

static bool shows(const struct record *record, const uint8_t *trace_id, const uint8_t *span_id,
		  uint8_t trace_flags, uint8_t valid)
{
	if (record->valid != valid)
		return false;
	return !valid || (record->trace_flags == trace_flags &&
			  memcmp(record->trace_id, trace_id, sizeof(record->trace_id)) == 0 &&
			  memcmp(record->span_id, span_id, sizeof(record->span_id)) == 0);
}

/* What changes nothing is not logged; but that a thread which marks its spans has come to another
 * turn is, once. */
static bool changes_nothing(const struct record *record, const uint8_t *trace_id,
			    const uint8_t *span_id, uint8_t trace_flags, uint8_t valid)
{
	return !own.is_changing && !own.may_turn &&
	       shows(record, trace_id, span_id, trace_flags, valid);
}

/* A thread that has never shown a span, and shows none, has nothing to log, and readers find that
 * it has not. */
static inline bool stays_unseen(bool shows_span)
{
	return __builtin_expect(is_exact, 0) && !shows_span && !own.published;
}

/* `valid` 0: no span. The time is taken before anything shows, and the change counts before the
 * record is valid: a reader that finds it invalid goes by the log. A signal handler in the middle
 * publishes without the log, and a reader that looks just then sees that the two differ. */
static OUTLINE void publish_logged(struct record *record, const uint8_t *trace_id,
				   const uint8_t *span_id, uint8_t trace_flags, uint8_t valid)
{
	bool is_nested = own.is_changing;
	struct change *change = NULL;

	if (changes_nothing(record, trace_id, span_id, trace_flags, valid))
		return;
	own.may_turn = own.marks && !shows(record, trace_id, span_id, trace_flags, valid);
	own.is_changing = true;
	atomic_signal_fence(memory_order_seq_cst);
	if (!is_nested)
		change = begin_change();
	begin(record);
	if (trace_id) {
		memcpy(record->trace_id, trace_id, sizeof(record->trace_id));
		memcpy(record->span_id, span_id, sizeof(record->span_id));
		record->trace_flags = trace_flags;
	} else {
		clear(record);
	}
	if (change)
		put_ids(change, valid ? trace_id : NULL, span_id);
	atomic_signal_fence(memory_order_seq_cst);
	if (change)
		own.log.written++;
	end(record, valid);
	own.is_changing = is_nested;
}

static inline void publish(struct record *record, const uint8_t *trace_id, const uint8_t *span_id,
			   uint8_t trace_flags)
{
	if (__builtin_expect(is_exact, 0)) {
		publish_logged(record, trace_id, span_id, trace_flags, trace_id != NULL);
		return;
	}
	begin(record);
	if (!trace_id) {
		clear(record);
		return;
	}
	memcpy(record->trace_id, trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, span_id, sizeof(record->span_id));
	record->trace_flags = trace_flags;
	end(record, 1);
}

OUTLINE void spanwise_publish(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags)
{
	if (!stays_unseen(trace_id != NULL))
		publish(own_record(), trace_id, span_id, trace_flags);
}

/* A signal handler may attach in the middle of an attach: it finds `valid` at 0 and leaves it so.
 * Each field is copied with the width it was written in, or the CPU cannot forward the stores. */
OUTLINE void spanwise_attach(const uint8_t *trace_id, const uint8_t *span_id, uint8_t trace_flags,
			     struct spanwise_token *out_previous)
{
	struct record *record = &own.record;

	if (!stays_unseen(trace_id != NULL))
		record = own_record();
	memcpy(out_previous->trace_id, record->trace_id, sizeof(record->trace_id));
	memcpy(out_previous->span_id, record->span_id, sizeof(record->span_id));
	out_previous->valid = record->valid;
	out_previous->trace_flags = record->trace_flags;
	if (own.published)
		publish(record, trace_id, span_id, trace_flags);
}

OUTLINE void spanwise_detach(const struct spanwise_token *previous)
{
	struct record *record = stays_unseen(previous->valid) ? NULL : own_record();

	if (!record)
		return;
	if (__builtin_expect(is_exact, 0)) {
		publish_logged(record, previous->trace_id, previous->span_id, previous->trace_flags,
			       previous->valid);
		return;
	}
	begin(record);
	memcpy(record->trace_id, previous->trace_id, sizeof(record->trace_id));
	memcpy(record->span_id, previous->span_id, sizeof(record->span_id));
	record->trace_flags = previous->trace_flags;
	end(record, previous->valid);
}

/* The mark, and after it, in the same step, what the thread shows as before: so the newest entry
 * always tells that. */
OUTLINE void spanwise_mark(const uint8_t *trace_id, const uint8_t *span_id)
{
	struct change *change, *after;
	struct record *record;

	if (!is_exact || own.is_changing)
		return;
	record = own_record();
	own.is_changing = true;
	atomic_signal_fence(memory_order_seq_cst);
	change = begin_change();
	if (change) {
		after = &own.changes[(own.log.written + 1) % LOG_CAPACITY];
		after->time_ns = change->time_ns;
		put_ids(after, record->valid ? record->trace_id : NULL, record->span_id);
		change->time_ns |= LOG_MARK;
		put_ids(change, trace_id, span_id);
		own.marks = own.may_turn = true;
		atomic_signal_fence(memory_order_seq_cst);
		own.log.written += 2;
	}
	atomic_signal_fence(memory_order_seq_cst);
	own.is_changing = false;
}

/* ---- the process's context, OTEP 4719 ---- */

#define MAPPING_BYTES 4096
#define PAYLOAD_MAX   (MAPPING_BYTES - sizeof(struct header))

struct header {
	char signature[8]; /* OTEL_CTX */
	uint32_t version;
	uint32_t payload_bytes;
	_Atomic uint64_t published_at_ns; /* CLOCK_BOOTTIME; 0 while it is being changed */
	uint64_t payload;                 /* address: right behind the header */
};

_Static_assert(sizeof(struct header) == 32, "OTEP 4719");

static struct {
	struct header *mapping;
	char service_name[SPANWISE_VALUE_MAX + 1];
	char instance_id[SPANWISE_VALUE_MAX + 1];
	bool watches_forks;
} process;

/* Protobuf, as much as is needed here: nested length-delimited fields. */
struct message {
	size_t used;
	uint8_t bytes[PAYLOAD_MAX];
};

static void put_varint(struct message *message, size_t value)
{
	for (; value >= 0x80; value >>= 7)
		message->bytes[message->used++] = (uint8_t)(value | 0x80);
	message->bytes[message->used++] = (uint8_t)value;
}

static void put_field(struct message *message, unsigned number, const void *data, size_t bytes)
{
	put_varint(message, number << 3 | 2);
	put_varint(message, bytes);
	memcpy(message->bytes + message->used, data, bytes);
	message->used += bytes;
}

enum { VALUE_STRING = 1, VALUE_ARRAY = 5 }; /* fields of AnyValue */

/* KeyValue{1: key, 2: AnyValue} as field `number`. */
static void put_key_value(struct message *message, unsigned number, const char *key,
			  unsigned value_kind, const char *text)
{
	struct message value = { 0 }, pair = { 0 };

	put_field(&value, value_kind, text, strlen(text));
	put_field(&pair, 1, key, strlen(key));
	put_field(&pair, 2, value.bytes, value.used);
	put_field(message, number, pair.bytes, pair.used);
}

/* ProcessContext{1: Resource{1: attributes}, 2: attributes}. The key map is an empty array: our
 * records carry no attributes. */
static void encode_payload(struct message *payload)
{
	struct message resource = { 0 };

	if (process.service_name[0])
		put_key_value(&resource, 1, "service.name", VALUE_STRING, process.service_name);
	put_key_value(&resource, 1, "service.instance.id", VALUE_STRING, process.instance_id);
	put_field(payload, 1, resource.bytes, resource.used);
	put_key_value(payload, 2, "threadlocal.schema_version", VALUE_STRING, "tlsdesc_v1_dev");
	put_key_value(payload, 2, "threadlocal.attribute_key_map", VALUE_ARRAY, "");
	if (is_exact)
		put_key_value(payload, 2, "spanwise.changes", VALUE_STRING, "v1");
}

/* A memfd gives the mapping its name on every kernel; anonymous memory has one only where the
 * kernel was built with CONFIG_ANON_VMA_NAME, but exists where memfd_create is forbidden. */
static void *map_named(void)
{
	int fd = memfd_create("OTEL_CTX", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	void *mapping = MAP_FAILED;

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("OTEL_CTX", MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, MAPPING_BYTES) == 0)
		mapping = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (fd >= 0)
		close(fd);
	if (mapping == MAP_FAILED)
		mapping = mmap(NULL, MAPPING_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return mapping == MAP_FAILED ? NULL : mapping;
}

static int open_mapping(void)
{
	struct header *header = map_named();
	int rc;

	if (!header)
		return -errno;
	if (madvise(header, MAPPING_BYTES, MADV_DONTFORK) < 0) {
		rc = -errno;
		munmap(header, MAPPING_BYTES);
		return rc;
	}
	memcpy(header->signature, "OTEL_CTX", sizeof(header->signature));
	header->version = 2;
	header->payload = (uint64_t)(uintptr_t)(header + 1);
	process.mapping = header;
	return 0;
}

static int publish_process(void)
{
	struct message payload = { 0 };
	struct header *header;
	int rc = process.mapping ? 0 : open_mapping();

	if (rc < 0)
		return rc;
	encode_payload(&payload);
	header = process.mapping;
	atomic_store(&header->published_at_ns, 0);
	memcpy(header + 1, payload.bytes, payload.used);
	header->payload_bytes = (uint32_t)payload.used;
	atomic_store(&header->published_at_ns, now_ns(CLOCK_BOOTTIME));
	/* Readers wait for this call, whatever it returns: it says "look again". */
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, header, MAPPING_BYTES, "OTEL_CTX");
	return 0;
}

/* A random UUID, version 4. */
static int make_instance_id(void)
{
	uint8_t id[16];
	int used = 0;

	if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
		return errno ? -errno : -EIO;
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(id); i++)
		used += snprintf(process.instance_id + used,
				 sizeof(process.instance_id) - (size_t)used,
				 i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", id[i]);
	return 0;
}

/* The mapping was not inherited and the parent's instance id is not ours to use. The thread's
 * record stays as it is: until the child attaches, it does work for its parent's span. */
static void on_fork_child(void)
{
	inherit_rings();
	if (!process.mapping)
		return;
	process.mapping = NULL;
	if (make_instance_id() == 0)
		publish_process();
}

static bool is_asked_for(const char *variable)
{
	const char *value = getenv(variable);

	return value && strcmp(value, "1") == 0;
}

int spanwise_exact_mode(void)
{
	is_exact = true;
	return process.mapping ? publish_process() : 0;
}

int spanwise_process_init(const char *service_name, const char *instance_id)
{
	int rc;

	is_exact |= is_asked_for("SPANWISE_EXACT_MODE");
	if ((service_name && strlen(service_name) > SPANWISE_VALUE_MAX) ||
	    (instance_id && strlen(instance_id) > SPANWISE_VALUE_MAX))
		return -E2BIG;
	if (!process.watches_forks) {
		rc = pthread_atfork(NULL, NULL, on_fork_child);
		if (rc)
			return -rc;
		process.watches_forks = true;
	}
	strcpy(process.service_name, service_name ? service_name : "");
	if (instance_id && instance_id[0]) {
		strcpy(process.instance_id, instance_id);
	} else {
		rc = make_instance_id();
		if (rc < 0)
			return rc;
	}
	return publish_process();
}

const char *spanwise_instance_id(void)
{
	return process.instance_id;
}
