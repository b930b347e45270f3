/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pack_lists.h"

#include <errno.h>
#include <string.h>

static void init(struct pack_list *list, size_t entry_bytes, uint64_t seed)
{
	*list = (struct pack_list){ .entry_bytes = entry_bytes };
	map_init(&list->places, entry_bytes, sizeof(uint32_t), seed);
	buf_init(&list->entries, 0);
}

void pack_lists_init(struct pack_lists *lists, uint64_t seed)
{
	init(&lists->stacks, sizeof(struct pack_stack), seed);
	init(&lists->targets, sizeof(struct event_target), seed);
	init(&lists->kinds, sizeof(struct pack_kind), seed);
	init(&lists->wakers, sizeof(struct pack_waker), seed);
	init(&lists->tags, sizeof(struct event_tag), seed);
	init(&lists->texts, PACK_TEXT_BYTES, seed);
}

static void clear(struct pack_list *list)
{
	map_clear(&list->places);
	buf_clear(&list->entries);
	list->count = 0;
}

void pack_lists_clear(struct pack_lists *lists)
{
	clear(&lists->stacks);
	clear(&lists->targets);
	clear(&lists->kinds);
	clear(&lists->wakers);
	clear(&lists->tags);
	clear(&lists->texts);
}

static void fini(struct pack_list *list)
{
	map_fini(&list->places);
	buf_fini(&list->entries);
	list->count = 0;
}

void pack_lists_fini(struct pack_lists *lists)
{
	fini(&lists->stacks);
	fini(&lists->targets);
	fini(&lists->kinds);
	fini(&lists->wakers);
	fini(&lists->tags);
	fini(&lists->texts);
}

/* Writing: the number, made if need be. */
static uint32_t number_of(struct pack_list *list, struct coder *coder, const void *entry)
{
	uint32_t *place = map_put(&list->places, entry);

	if (place && *place == 0) {
		buf_append(&list->entries, entry, list->entry_bytes);
		*place = ++list->count;
	}
	if (!place || buf_error(&list->entries)) {
		coder->error = -ENOMEM;
		return 0;
	}
	return *place - 1;
}

/* Reading: the entry with this number. */
static void copy_entry(const struct pack_list *list, struct coder *coder, uint64_t number,
		       void *entry)
{
	if (number < list->count)
		memcpy(entry, list->entries.data + number * list->entry_bytes, list->entry_bytes);
	else
		coder_fail(coder);
}

void pack_list_code(struct pack_list *list, struct coder *coder, enum coder_column column,
		    void *entry)
{
	uint32_t number = coder->is_reading ? 0 : number_of(list, coder, entry);

	coder_number32(coder, column, &number);
	if (coder->is_reading)
		copy_entry(list, coder, number, entry);
}

/* A stack as a number: enum event_no_stack, or from STACK_FIRST_ID on its place in the list. */
static uint64_t stack_number(struct pack_lists *lists, struct coder *coder, uint64_t stack)
{
	struct pack_stack entry = { .id = stack };

	return coder->is_reading || stack < STACK_FIRST_ID
		       ? stack
		       : STACK_FIRST_ID + number_of(&lists->stacks, coder, &entry);
}

/* The part's list of ids is large and is looked at here and there: only for what is wanted. */
static uint64_t stack_of(const struct pack_lists *lists, struct coder *coder, uint64_t number)
{
	struct pack_stack entry = { .id = number };

	if (number < STACK_FIRST_ID)
		return number;
	copy_entry(&lists->stacks, coder, number - STACK_FIRST_ID, &entry);
	if (entry.number && !stack_numbers_id(lists->stack_ids, (uint32_t)entry.number, &entry.id))
		coder_fail(coder);
	return entry.id;
}

void pack_lists_kind(struct pack_lists *lists, struct coder *coder, enum coder_column column,
		     struct pack_kind *kind)
{
	pack_list_code(&lists->kinds, coder, column, kind);
	if (coder->is_reading)
		kind->stack = stack_of(lists, coder, kind->stack);
}

void pack_lists_stack(struct pack_lists *lists, struct coder *coder, enum coder_column column,
		      uint64_t *stack)
{
	uint64_t number = stack_number(lists, coder, *stack);

	coder_number(coder, column, &number);
	if (coder->is_reading)
		*stack = stack_of(lists, coder, number);
}

/* Its number in the part, or 0 and the id. */
static void code_stack(struct pack_lists *lists, struct coder *coder, void *entry)
{
	struct pack_stack *stack = entry;
	uint32_t number = 0;

	if (!coder->is_reading && stack_numbers_of(lists->stack_numbers, stack->id, &number) < 0)
		coder->error = -ENOMEM;
	coder_number32(coder, COLUMN_LIST_STACK, &number);
	if (number == 0)
		coder_raw(coder, COLUMN_LIST_ID, &stack->id, sizeof(stack->id));
	else if (coder->is_reading && number > stack_numbers_count(lists->stack_ids))
		coder_fail(coder);
	if (coder->is_reading)
		stack->number = number;
}

static void code_target(struct pack_lists *lists, struct coder *coder, void *entry)
{
	struct event_target *target = entry;
	uint64_t port = target->port, id = target->id;
	uint8_t len = sizeof(target->address);

	(void)lists;
	while (len > 0 && target->address[len - 1] == 0)
		len--;
	coder_byte(coder, COLUMN_LIST_TARGET, &target->kind, TARGET_LAST);
	coder_number(coder, COLUMN_LIST_TARGET, &port);
	coder_number32(coder, COLUMN_LIST_TARGET, &target->aux);
	coder_number(coder, COLUMN_LIST_TARGET, &id);
	coder_byte(coder, COLUMN_LIST_TARGET, &len, sizeof(target->address));
	coder_raw(coder, COLUMN_LIST_TARGET, target->address, len);
	if (port > UINT16_MAX)
		coder_fail(coder);
	target->port = (uint16_t)port;
	target->id = id;
}

/* A number in another list: mostly the next that was not named yet. */
static void code_next(struct coder *coder, uint64_t *next, uint64_t *number)
{
	int64_t step = (int64_t)(*number - *next);

	coder_signed(coder, COLUMN_LIST_KIND_OF, &step);
	*number = *next + (uint64_t)step;
	if (*number >= *next && *number < UINT32_MAX)
		*next = *number + 1;
}

static void code_stack_of_kind(struct pack_lists *lists, struct coder *coder, uint64_t *stack)
{
	uint64_t number = stack_number(lists, coder, *stack);

	code_next(coder, &lists->next_stack, &number);
	if (coder->is_reading)
		*stack = number;
}

static void code_target_of_kind(struct pack_lists *lists, struct coder *coder,
				struct event_target *target)
{
	uint64_t number = coder->is_reading ? 0 : number_of(&lists->targets, coder, target);

	code_next(coder, &lists->next_target, &number);
	if (coder->is_reading)
		copy_entry(&lists->targets, coder, number, target);
}

static void code_kind(struct pack_lists *lists, struct coder *coder, void *entry)
{
	struct pack_kind *kind = entry;
	int64_t syscall = kind->syscall;

	coder_byte(coder, COLUMN_LIST_KIND, &kind->reason, REASON_COUNT - 1);
	coder_signed(coder, COLUMN_LIST_KIND, &syscall);
	if (syscall < INT32_MIN || syscall > INT32_MAX)
		coder_fail(coder);
	kind->syscall = (int32_t)syscall;
	code_stack_of_kind(lists, coder, &kind->stack);
	code_target_of_kind(lists, coder, &kind->target);
}

/* Against the one before: threads of a process are numbered one after the other. */
static void code_step(struct coder *coder, uint32_t *before, uint32_t *number)
{
	int64_t step = (int64_t)*number - *before;

	coder_signed(coder, COLUMN_LIST_WAKER, &step);
	*number = *before + (uint32_t)step;
	*before = *number;
}

static void code_waker(struct pack_lists *lists, struct coder *coder, void *entry)
{
	struct pack_waker *waker = entry;
	uint8_t len = (uint8_t)strnlen(waker->comm, sizeof(waker->comm) - 1);

	code_step(coder, &lists->last_pid, &waker->pid);
	code_step(coder, &lists->last_tid, &waker->tid);
	coder_byte(coder, COLUMN_LIST_NAME, &waker->kind, HOLDER_LAST);
	coder_byte(coder, COLUMN_LIST_NAME, &len, sizeof(waker->comm) - 1);
	coder_raw(coder, COLUMN_LIST_NAME, waker->comm, len);
}

static void code_tag(struct pack_lists *lists, struct coder *coder, void *entry)
{
	(void)lists;
	coder_raw(coder, COLUMN_LIST_ID, entry, sizeof(struct event_tag));
}

static void code_text(struct pack_lists *lists, struct coder *coder, void *entry)
{
	char *text = entry;
	uint8_t len = (uint8_t)strnlen(text, PACK_TEXT_BYTES - 1);

	(void)lists;
	coder_byte(coder, COLUMN_LIST_TEXT, &len, PACK_TEXT_BYTES - 1);
	coder_raw(coder, COLUMN_LIST_TEXT, text, len);
}

typedef void code_entry(struct pack_lists *lists, struct coder *coder, void *entry);

/* Reading: zeros for the entries. Each takes a byte or more of its column: so a count cannot ask
 * for more memory than there may be. */
static bool make_room(struct coder *coder, struct pack_list *list, enum coder_column column,
		      uint32_t count)
{
	size_t bytes = count * list->entry_bytes;

	if (count > coder_bytes_of(coder, column)) {
		coder_fail(coder);
	} else if (count && !buf_reserve(&list->entries, bytes)) {
		coder->error = -ENOMEM;
	} else if (count) {
		memset(list->entries.data, 0, bytes);
		list->entries.len = bytes;
	}
	return !coder->error;
}

/* `column`: of which each entry has something. */
static void code_list(struct pack_lists *lists, struct coder *coder, struct pack_list *list,
		      enum coder_column column, code_entry *code)
{
	uint32_t count = list->count;
	char *entry;

	coder_number32(coder, COLUMN_LIST_TEXT, &count);
	if (coder->error || (coder->is_reading && !make_room(coder, list, column, count)))
		return;
	entry = list->entries.data;
	for (uint32_t i = 0; i < count && !coder->error; i++, entry += list->entry_bytes)
		code(lists, coder, entry);
	list->count = coder->error ? 0 : count;
}

_Static_assert(sizeof(struct pack_kind) % _Alignof(struct pack_kind) == 0, "entries in a row");

void pack_lists_code(struct pack_lists *lists, struct coder *coder)
{
	/* Those that others name first: what writing adds to them is in them when they are read. */
	if (!coder->is_reading) {
		const struct pack_kind *kinds = (const void *)lists->kinds.entries.data;

		for (uint32_t i = 0; i < lists->kinds.count && !coder->error; i++) {
			stack_number(lists, coder, kinds[i].stack);
			number_of(&lists->targets, coder, &kinds[i].target);
		}
	}
	lists->last_pid = lists->last_tid = 0;
	lists->next_stack = STACK_FIRST_ID;
	lists->next_target = 0;
	code_list(lists, coder, &lists->stacks, COLUMN_LIST_STACK, code_stack);
	code_list(lists, coder, &lists->targets, COLUMN_LIST_TARGET, code_target);
	code_list(lists, coder, &lists->kinds, COLUMN_LIST_KIND, code_kind);
	code_list(lists, coder, &lists->wakers, COLUMN_LIST_WAKER, code_waker);
	code_list(lists, coder, &lists->tags, COLUMN_LIST_ID, code_tag);
	code_list(lists, coder, &lists->texts, COLUMN_LIST_TEXT, code_text);
}
