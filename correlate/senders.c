/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes send spans with a resource. Who is asked for is the one that lived then: were it
 * the last one that was seen, the traces of a service before and after a restart would tell each
 * other something new, again and again. */
#include <stdlib.h>
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

#define MOST_RESOURCES 16384u
#define MOST_SENDERS   64u /* of one resource */

struct sender {
	struct process *process;
	struct sender *next;
};

struct senders {
	struct sender *first; /* owned; the newest first */
	unsigned count;
	bool are_too_many; /* there was no room for one */
	uint64_t lesson;   /* of relearn.c */
};

void senders_init(struct model *model)
{
	map_init(&model->resources, sizeof(uint64_t), sizeof(struct senders), model->options.seed);
	model->resources.max_count = MOST_RESOURCES;
}

void senders_fini(struct model *model)
{
	size_t cursor = 0;
	const void *key;
	struct senders *senders;

	while ((senders = map_next(&model->resources, &cursor, &key))) {
		for (struct sender *sender = senders->first, *next; sender; sender = next) {
			next = sender->next;
			free(sender);
		}
	}
	map_fini(&model->resources);
}

static const struct senders *senders_of(const struct model *model, uint64_t resource_key)
{
	return map_get(&model->resources, &resource_key);
}

static void drop(struct senders *senders, struct sender **link)
{
	struct sender *sender = *link;

	*link = sender->next;
	free(sender);
	senders->count--;
}

/* The one that is gone for longest makes room. */
static bool make_room(struct senders *senders)
{
	struct sender **oldest = NULL;

	if (senders->count < MOST_SENDERS)
		return true;
	for (struct sender **link = &senders->first; *link; link = &(*link)->next) {
		const struct process *process = (*link)->process;

		if (process->gone && (!oldest || process->gone_ns < (*oldest)->process->gone_ns))
			oldest = link;
	}
	if (oldest)
		drop(senders, oldest);
	return oldest;
}

void senders_note(struct model *model, uint64_t resource_key, struct process *process)
{
	struct senders *senders = map_put(&model->resources, &resource_key);
	struct sender *sender;

	if (!senders || senders->are_too_many)
		return;
	for (sender = senders->first; sender; sender = sender->next) {
		if (sender->process == process)
			return;
	}
	sender = make_room(senders) ? malloc(sizeof(*sender)) : NULL;
	senders->are_too_many = !sender;
	senders->lesson = ++model->lesson;
	if (!sender)
		return;
	*sender = (struct sender){ process, senders->first };
	senders->first = sender;
	senders->count++;
}

static void forget_in(struct senders *senders, const struct process *process)
{
	struct sender **link = &senders->first;

	while (*link && (*link)->process != process)
		link = &(*link)->next;
	if (*link)
		drop(senders, link);
}

/* Those that nobody is left of go, too: a service that names its process in its resource has
 * another one at each start. */
void senders_forget(struct model *model, const struct process *process)
{
	uint64_t gone_key = 0;
	bool is_one_gone;

	do {
		size_t cursor = 0;
		const void *key;
		struct senders *senders;

		is_one_gone = false;
		while (!is_one_gone && (senders = map_next(&model->resources, &cursor, &key))) {
			forget_in(senders, process);
			is_one_gone = !senders->first;
			memcpy(&gone_key, key, sizeof(gone_key));
		}
		if (is_one_gone)
			map_delete(&model->resources, &gone_key);
	} while (is_one_gone);
}

bool senders_are_known(const struct model *model, uint64_t resource_key)
{
	const struct senders *senders = senders_of(model, resource_key);

	return senders && senders->first;
}

/* 0: it lived then, for all that is known. One whose birth was not seen is known from its first
 * record on. */
static uint64_t distance_ns(const struct process *process, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t born_ns = process->born_ns ? process->born_ns : process->first_ns;

	if (born_ns > to_ns)
		return born_ns - to_ns;
	return process->gone && process->gone_ns < from_ns ? from_ns - process->gone_ns : 0;
}

struct process *senders_at(const struct model *model, uint64_t resource_key, uint64_t from_ns,
			   uint64_t to_ns)
{
	const struct senders *senders = senders_of(model, resource_key);
	struct process *nearest = NULL;
	uint64_t least_ns = UINT64_MAX;

	if (!senders || senders->are_too_many)
		return NULL;
	for (const struct sender *sender = senders->first; sender; sender = sender->next) {
		uint64_t ns = distance_ns(sender->process, from_ns, to_ns);

		if (ns == 0 && least_ns == 0)
			return NULL;
		if (ns < least_ns) {
			nearest = sender->process;
			least_ns = ns;
		}
	}
	return nearest;
}

bool senders_teach(const struct model *model, uint64_t resource_key, uint64_t at_ns,
		   uint64_t lesson)
{
	const struct senders *senders = senders_of(model, resource_key);
	const struct process *process = senders_at(model, resource_key, at_ns, at_ns);

	return senders && (senders->lesson > lesson || (process && process->lesson > lesson));
}
