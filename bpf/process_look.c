/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_look.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bpf/process_context.h"
#include "bpf/process_files.h"
#include "bpf/process_identity.h"
#include "bpf/process_memory.h"
#include "bpf/tls_layout.h"
#include "bpf/tls_resolve.h"
#include "collector/base/macros.h"

#define MAX_DEFINERS 8 /* modules of one process that define a variable */

/* The three descriptors of a look. */
struct view {
	int directory_fd;
	int memory_fd;
	int maps_fd;
};

/* Copies of what the files said, since the cache may forget them. */
struct found {
	struct elf_tls program, libc;
	struct elf_tls definers[MAX_DEFINERS];
	struct tls_process process;
	struct tls_image images[MAX_DEFINERS];
	const char *paths[MAX_DEFINERS];
	uint32_t count;
	uint32_t files_64bit, files_32bit;
	bool was_cut; /* something could not be kept or read: look again */
};

int process_looker_init(struct process_looker *looker, uint32_t max_files)
{
	*looker = (struct process_looker){ 0 };
	process_maps_init(&looker->maps);
	return elf_cache_new(max_files, &looker->cache);
}

void process_looker_fini(struct process_looker *looker)
{
	process_maps_fini(&looker->maps);
	elf_cache_free(looker->cache);
	looker->cache = NULL;
}

static void close_view(struct view *view)
{
	if (view->maps_fd >= 0)
		close(view->maps_fd);
	if (view->memory_fd >= 0)
		close(view->memory_fd);
	close(view->directory_fd);
}

static int open_directory(uint32_t pid, struct view *out_view)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u", pid);
	*out_view = (struct view){ -1, -1, -1 };
	out_view->directory_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return out_view->directory_fd < 0 ? -errno : 0;
}

/* -EAGAIN: it has no memory any more, for it is on its way out. What is known of it holds for its
 * last slice. */
static int open_contents(struct view *view)
{
	view->memory_fd = openat(view->directory_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (view->memory_fd < 0)
		return errno == ENOENT || errno == ESRCH ? -EAGAIN : -errno;
	view->maps_fd = openat(view->directory_fd, "maps", O_RDONLY | O_CLOEXEC);
	if (view->maps_fd < 0)
		return errno == ENOENT || errno == ESRCH ? -EAGAIN : -errno;
	return 0;
}

/* false: the file cannot be had. */
static bool read_mapped(struct process_looker *looker, const struct view *view,
			const struct maps_module *module, int *out_rc,
			const struct elf_tls **out_tls)
{
	int path_fd = process_files_find(view->directory_fd, &looker->maps, module,
					 &looker->no_map_files);
	bool is_read = path_fd >= 0 && elf_cache_knows(looker->cache, path_fd, out_rc, out_tls);
	int fd = path_fd < 0 || is_read ? -1 : process_files_reopen(path_fd);

	if (path_fd >= 0)
		close(path_fd);
	if (fd < 0)
		return is_read;
	*out_rc = elf_cache_get(looker->cache, fd, out_tls);
	close(fd);
	return true;
}

/* From the file if it can be had, else from the image in memory. */
static int read_module(struct process_looker *looker, const struct view *view,
		       const struct maps_module *module, struct elf_tls *storage,
		       const struct elf_tls **out_tls)
{
	const struct maps_segment *first = &looker->maps.segments[module->first_segment];
	struct elf_file image;
	int rc;

	if (read_mapped(looker, view, module, &rc, out_tls))
		return rc;
	rc = first->offset == 0 ? elf_file_open_image(&image, view->memory_fd, first->start)
				: -ENOEXEC;
	if (rc == 0)
		rc = elf_tls_read(&image, storage);
	*out_tls = storage;
	return rc;
}

static int bias_of(const struct process_looker *looker, const struct maps_module *module,
		   const struct elf_tls *tls, uint64_t *out_bias)
{
	return process_maps_bias(&looker->maps, module, tls->first_load.vaddr,
				 tls->first_load.offset, tls->dynamic.vaddr, tls->dynamic.offset,
				 out_bias);
}

static void keep_image(struct tls_image *image, struct elf_tls *storage, const struct elf_tls *tls,
		       uint64_t bias)
{
	*storage = *tls;
	*image = (struct tls_image){ storage, bias };
}

static void note_module(struct found *found, const struct elf_tls *tls, uint64_t bias,
			const char *path)
{
	if (tls->is_program && found->process.program.tls)
		return; /* another program, mapped but not run */
	if (tls->is_program)
		keep_image(&found->process.program, &found->program, tls, bias);
	if (tls->libc != ELF_LIBC_NONE && !tls->is_program && !found->process.libc.tls)
		keep_image(&found->process.libc, &found->libc, tls, bias);
	if (!tls->has_variable)
		return;
	if (found->count == MAX_DEFINERS) {
		found->was_cut = true;
		return;
	}
	keep_image(&found->images[found->count], &found->definers[found->count], tls, bias);
	found->paths[found->count++] = path;
}

static void find_modules(struct process_looker *looker, const struct view *view,
			 struct found *found)
{
	for (size_t i = 0; i < looker->maps.module_count; i++) {
		const struct maps_module *module = &looker->maps.modules[i];
		const struct elf_tls *tls = NULL;
		struct elf_tls storage;
		uint64_t bias;
		int rc = read_module(looker, view, module, &storage, &tls);

		found->files_32bit += rc == -ENOTSUP;
		found->files_64bit += rc == 0;
		if (rc < 0 || !tls)
			continue;
		if (bias_of(looker, module, tls, &bias) < 0) {
			found->was_cut = true; /* its loader has not mapped all of it yet */
			continue;
		}
		note_module(found, tls, bias, process_maps_path(&looker->maps, module));
	}
}

static bool has_variable(const struct tag_descriptor *descriptor,
			 const struct tag_variable *variable)
{
	for (uint32_t i = 0; i < descriptor->count; i++)
		if (memcmp(&descriptor->variables[i], variable, sizeof(*variable)) == 0)
			return true;
	return false;
}

static const char *reason_of(int error)
{
	switch (error) {
	case -EAGAIN:
		return "not relocated yet";
	case -ENOTSUP:
		return "no TLS relocation tells where";
	default:
		return "damaged file";
	}
}

/* "otel_thread_ctx_v1 in /usr/lib/libx.so (TLSDESC, static, TP-152)"; a long path keeps its end. */
static void describe(struct process_variables *variables, const char *name, const char *path,
		     const char *form)
{
	const size_t cap = sizeof(variables->text);
	size_t room = cap - sizeof(" in ... ()") - strlen(name) - strlen(form);
	size_t bytes = strlen(path);
	char clean[sizeof(variables->text)];

	process_memory_text(clean, sizeof(clean),
			    str_of(bytes > room ? path + bytes - room : path));
	snprintf(variables->text, cap, "%s in %s%.*s (%s)", name, bytes > room ? "..." : "",
		 (int)room, clean, form);
}

/* The form that the process says it publishes in, or else the best of all that are there: some
 * library may have another form's variable, and nobody who sets it. */
static enum tag_form best_form(const struct found *found, enum process_schema schema)
{
	enum tag_form best = TAG_FORMS;

	for (uint32_t i = 0; i < found->count; i++) {
		enum tag_form form = found->images[i].tls->form;

		if (form == TAG_FORM_NODEJS && schema == PROCESS_SCHEMA_NODEJS)
			return form;
		best = MIN(best, form);
	}
	return best;
}

static void resolve(const struct found *found, enum process_schema schema,
		    struct process_variables *variables)
{
	struct tag_descriptor *descriptor = &variables->descriptor;
	enum tag_form best = best_form(found, schema);
	const char *name = elf_tls_name(best);
	char form[TLS_FORM_BYTES];

	descriptor->form = (__u16)(best < TAG_FORMS ? best : TAG_FORM_RECORD);
	for (uint32_t i = 0; i < found->count; i++) {
		struct tag_variable variable;
		int rc;

		if (found->images[i].tls->form != best)
			continue;
		rc = tls_resolve(&found->process, &found->images[i], &variable, form);
		if (rc < 0) {
			variables->is_complete = false;
			if (!variables->text[0])
				describe(variables, name, found->paths[i], reason_of(rc));
			continue;
		}
		if (has_variable(descriptor, &variable))
			continue;
		if (descriptor->count == TAG_MAX_VARIABLES) {
			variables->is_complete = false;
			continue;
		}
		if (descriptor->count == 0)
			describe(variables, name, found->paths[i], form);
		descriptor->variables[descriptor->count++] = variable;
	}
}

/* A Go program's labels, unless a better form was found. */
static void resolve_go(const struct elf_tls *program, struct process_variables *variables)
{
	struct tag_descriptor *descriptor = &variables->descriptor;
	struct tag_variable variable;
	struct tag_go layout;

	if (!program || !program->go.can_label || descriptor->count > 0 ||
	    variables->text[0]) /* something better is there, and not ready yet */
		return;
	variables->needs_schema = !program->go.makes_spans;
	if (elf_go_layout(program->go.version, &layout) < 0 ||
	    tls_layout_go(program, &variable) < 0) {
		snprintf(variables->text, sizeof(variables->text),
			 "pprof labels of %s: its layout is not known", program->go.version);
		return;
	}
	*descriptor = (struct tag_descriptor){
		.count = 1, .form = TAG_FORM_GO, .go = layout, .variables[0] = variable
	};
	snprintf(variables->text, sizeof(variables->text),
		 "pprof labels of %s (g at TP%" PRId64 ")", program->go.version,
		 (int64_t)variable.offset);
}

static void find_variables(struct process_looker *looker, const struct view *view,
			   enum process_schema schema, struct process_variables *variables)
{
	struct found found = { .process.memory_fd = view->memory_fd };

	*variables = (struct process_variables){ .signature = looker->maps.signature };
	find_modules(looker, view, &found);
	variables->is_complete = !found.was_cut && looker->maps.module_count > 0;
	variables->is_32bit = found.files_32bit > 0 && found.files_64bit == 0;
	resolve(&found, schema, variables);
	resolve_go(found.process.program.tls, variables);
}

/* The first mapping that holds one. */
static void find_context(const struct process_looker *looker, const struct view *view,
			 struct process_context *context)
{
	*context = (struct process_context){ 0 };
	for (uint32_t i = 0; i < looker->maps.context_count; i++)
		if (process_context_read(view->memory_fd, looker->maps.contexts[i], context) == 0)
			return;
}

static void say(struct event_process *process, enum event_publish publish, const char *text)
{
	process->publish = publish;
	snprintf(process->variable, sizeof(process->variable), "%s", text);
}

/* A schema that is named and not known may mean another layout: then nothing is read. */
static void judge(const struct process_context *context, const struct process_variables *variables,
		  struct event_process *process)
{
	char text[sizeof(process->variable)];

	if (variables->is_32bit) {
		say(process, PUBLISH_UNSUPPORTED, "a 32-bit process");
	} else if (context->schema == PROCESS_SCHEMA_UNKNOWN) {
		snprintf(text, sizeof(text), "schema \"%s\" is not known", context->schema_version);
		say(process, PUBLISH_UNSUPPORTED, text);
	} else if (variables->needs_schema && context->schema != PROCESS_SCHEMA_GO) {
		say(process, PUBLISH_NOTHING, "");
	} else if (variables->descriptor.count > 0) {
		say(process, PUBLISH_TAGS, variables->text);
	} else if (context->schema == PROCESS_SCHEMA_NODEJS ||
		   context->schema == PROCESS_SCHEMA_GO) {
		snprintf(text, sizeof(text), "schema \"%s\", but %.80s", context->schema_version,
			 variables->text[0] ? variables->text : "nothing of it was found");
		say(process, PUBLISH_UNSUPPORTED, text);
	} else {
		say(process, PUBLISH_NOTHING, variables->text);
	}
}

/* Modules that stay will not start to publish; but where one publishes, a library can have been
 * closed and opened again at the same place, as another TLS module. */
static bool is_settled(const struct process_variables *variables)
{
	return variables->is_complete && variables->descriptor.count == 0;
}

static int look_inside(struct process_looker *looker, struct view *view,
		       struct event_process *process, struct process_variables *variables)
{
	struct process_context context;
	int rc = open_contents(view);

	if (rc == 0)
		rc = process_maps_read(&looker->maps, view->maps_fd);
	if (rc < 0)
		return rc;
	if (looker->maps.lines == 0)
		return -EAGAIN;
	find_context(looker, view, &context);
	if (!is_settled(variables) || variables->signature != looker->maps.signature)
		find_variables(looker, view, context.schema, variables);
	memcpy(process->service_name, context.service_name, sizeof(process->service_name));
	memcpy(process->service_instance_id, context.service_instance_id,
	       sizeof(process->service_instance_id));
	variables->descriptor.has_changes = context.has_changes;
	judge(&context, variables, process);
	return 0;
}

int process_look(struct process_looker *looker, uint32_t pid, struct event_process *out_process,
		 struct process_variables *variables)
{
	struct event_process process = { .pid = pid };
	struct process_state state = { 0 };
	struct view view;
	int rc = open_directory(pid, &view);

	if (rc < 0)
		return rc == -ENOENT ? -ESRCH : rc;
	rc = process_identity_read(view.directory_fd, &process, &state);
	if (rc == 0 && state.is_kernel_thread)
		rc = -ENOEXEC;
	if (rc == 0 && state.is_zombie)
		rc = -EAGAIN;
	if (rc == 0)
		rc = look_inside(looker, &view, &process, variables);
	if (rc == 0 && process.publish == PUBLISH_NOTHING &&
	    process_identity_is_exiting(view.directory_fd))
		rc = -EAGAIN;
	close_view(&view);
	if (rc < 0 && rc != -ESRCH && rc != -ENOEXEC && rc != -EAGAIN && rc != -ENOMEM) {
		process.publish = PUBLISH_UNREADABLE;
		process.error = rc;
		*variables = (struct process_variables){ 0 };
		rc = 0;
	}
	if (rc == 0)
		*out_process = process;
	return rc;
}
