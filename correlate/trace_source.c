/* SPDX-License-Identifier: Apache-2.0 */
/* Which process of this machine a span says that it comes from. */
#include <string.h>

#include "collector/base/macros.h"
#include "correlate/model.h"

/* What identifies a process among those that send spans: its resource, whole. */
uint64_t trace_resource_key(const struct span_resource *resource, const struct span *span)
{
	uint64_t key = map_hash(resource->bytes.data, resource->bytes.len, 0);

	return map_hash(&span->process_id, sizeof(span->process_id), key);
}

/* A span, or the spans of one resource that came with it. */
struct claim {
	uint64_t start_ns, end_ns; /* as far as the clocks allow; 0 and UINT64_MAX: not known */
};

static struct claim claim_of(const struct model *model, const struct span *span)
{
	struct claim claim = { 0, UINT64_MAX };
	uint64_t start_ns, end_ns, bound_ns;

	if (clock_map_to_mono(&model->clocks, span->start_unix_ns, &start_ns, &bound_ns))
		claim.start_ns = start_ns - MIN(start_ns, bound_ns);
	if (clock_map_to_mono(&model->clocks, span->end_unix_ns, &end_ns, &bound_ns))
		claim.end_ns = end_ns + bound_ns;
	return claim;
}

static bool lived(const struct process *process, const struct claim *claim)
{
	return process->born_ns <= claim->end_ns &&
	       !(process->gone && process->gone_ns < claim->start_ns);
}

/* Two with one instance id, `newer` having come later. A forked child has its parent's until it
 * makes one of its own, and what only runs beside it (vfork, a leak checker) never does; it may be
 * gone after its parent. */
static struct process *original(struct process *newer, struct process *older,
				const struct claim *claim)
{
	if (!newer)
		return older;
	if (lived(newer, claim) != lived(older, claim))
		return lived(newer, claim) ? newer : older;
	if (newer->gone != older->gone)
		return newer->gone ? older : newer;
	return older->forked && !newer->forked ? newer : older;
}

static bool is_instance(const struct process *process, const struct span_resource *resource)
{
	struct str instance;

	if (!process->has_instance)
		return false;
	instance = str_of(process->service_instance_id);
	return str_eq(instance, resource->service_instance_id) ||
	       str_eq(instance, resource->runtime_id);
}

static struct process *claimed_process(const struct model *model,
				       const struct span_resource *resource,
				       const struct span *span, int64_t pid)
{
	struct claim claim = claim_of(model, span);
	struct process *found = NULL, *instance_of = NULL;
	bool is_shared = false;

	/* all processes of the machine, of most of which the first line says enough */
	for (struct process *p = model->processes; p; p = p->next) {
		bool same_instance = is_instance(p, resource);
		bool same_pid = pid > 0 && p->described && (int64_t)p->ns_pid == pid;
		bool same_box;

		if (!same_instance && !same_pid)
			continue;
		same_box = !resource->container_id.len || !p->container_id[0] ||
			   strncmp(p->container_id, resource->container_id.data,
				   MIN(resource->container_id.len, sizeof(p->container_id))) == 0;

		if (p->gone && p->gone_ns + NS_PER_SEC * 60 < model->now_ns)
			continue;
		if (same_instance)
			instance_of = original(instance_of, p, &claim);
		if (same_pid && same_box) {
			is_shared |= found && !found->gone && !p->gone;
			found = !found || found->gone ? p : found;
		}
	}
	if (instance_of)
		return instance_of;
	return is_shared ? NULL : found; /* two namespaces have that number */
}

static bool is_anonymous(const struct span_resource *resource, int64_t pid)
{
	return !pid && !resource->service_instance_id.len && !resource->runtime_id.len &&
	       !resource->container_id.len && !resource->host_name.len;
}

struct trace_source trace_source(const struct model *model, const struct span_resource *resource,
				 const struct span *span)
{
	int64_t pid = span->process_id ? span->process_id : resource->process_pid;

	return (struct trace_source){ trace_resource_key(resource, span), pid,
				      claimed_process(model, resource, span, pid),
				      is_anonymous(resource, pid) };
}
