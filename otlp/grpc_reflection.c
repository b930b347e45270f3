/* SPDX-License-Identifier: Apache-2.0 */
#include "otlp/grpc_reflection.h"

#include <errno.h>
#include <stdint.h>

#include "collector/base/wire.h"
#include "otlp/grpc_protos.h"
#include "otlp/grpc_status.h"

#define MAX_FILES 64 /* bits of a mask */

enum {
	REQUEST_HOST = 1,
	FILE_BY_NAME = 3,
	FILE_OF_SYMBOL,
	FILE_OF_EXTENSION,
	EXTENSIONS,
	SERVICES
};
enum {
	RESPONSE_HOST = 1,
	RESPONSE_REQUEST,
	RESPONSE_FILES = 4,
	RESPONSE_EXTENSIONS,
	RESPONSE_SERVICES,
	RESPONSE_ERROR
};
enum { FILES_FILE = 1, SERVICES_SERVICE = 1, SERVICE_NAME = 1, BASE_TYPE = 1 };
enum { ERROR_CODE = 1, ERROR_MESSAGE = 2 };
enum { SET_FILE = 1, FILE_NAME = 1, FILE_PACKAGE = 2, FILE_DEPENDENCY = 3 };

struct question {
	struct str host;
	uint32_t kind; /* the number of its field; 0: none */
	struct str text;
};

/* Of a descriptor: the fields that declare names, and what can be declared within. */
struct declaring {
	uint32_t number;
	const struct declaring *inner;
};

static const struct declaring in_leaf[] = { { 0, NULL } };
static const struct declaring in_enum[] = { { 2, in_leaf }, { 0, NULL } };
static const struct declaring in_service[] = { { 2, in_leaf }, { 0, NULL } };
static const struct declaring in_message[] = { { 2, in_leaf }, { 3, in_message }, { 4, in_enum },
					       { 6, in_leaf }, { 8, in_leaf },    { 0, NULL } };
static const struct declaring in_file[] = {
	{ 4, in_message }, { 5, in_enum }, { 6, in_service }, { 7, in_leaf }, { 0, NULL }
};

/* The last field of this number; empty: there is none. */
static struct str text_of(struct str message, uint32_t number)
{
	struct wire_reader reader = wire_read(message);
	struct str text = { NULL, 0 };
	struct wire_field field;

	while (wire_next(&reader, &field) > 0) {
		if (field.number == number && field.type == WIRE_BYTES)
			text = field.bytes;
	}
	return text;
}

/* "a.b.C" within "a.b": true, and `*name` is "C". */
static bool strip(struct str *name, struct str outer)
{
	if (outer.len == 0)
		return true;
	if (name->len <= outer.len || memcmp(name->data, outer.data, outer.len) != 0 ||
	    name->data[outer.len] != '.')
		return false;
	name->data += outer.len + 1;
	name->len -= outer.len + 1;
	return true;
}

static bool declares(struct str descriptor, const struct declaring *kinds, struct str name)
{
	struct wire_reader reader = wire_read(descriptor);
	struct wire_field field;

	while (wire_next(&reader, &field) > 0) {
		const struct declaring *kind = kinds;
		struct str own, rest = name;

		while (kind->number && kind->number != field.number)
			kind++;
		if (!kind->number || field.type != WIRE_BYTES)
			continue;
		own = text_of(field.bytes, FILE_NAME); /* of every descriptor */
		if (str_eq(own, name) ||
		    (own.len && strip(&rest, own) && declares(field.bytes, kind->inner, rest)))
			return true;
	}
	return false;
}

static bool is_named(struct str file, struct str name)
{
	return str_eq(text_of(file, FILE_NAME), name);
}

static bool has_symbol(struct str file, struct str symbol)
{
	return strip(&symbol, text_of(file, FILE_PACKAGE)) && declares(file, in_file, symbol);
}

static bool has_message(struct str file, struct str type)
{
	static const struct declaring messages[] = { { 4, in_message }, { 0, NULL } };

	return strip(&type, text_of(file, FILE_PACKAGE)) && declares(file, messages, type);
}

/* The index of the first file for which `fits` says so; negative: none. */
static int find_file(bool (*fits)(struct str file, struct str name), struct str name,
		     struct str *out_file)
{
	struct wire_reader reader = wire_read(grpc_protos());
	struct wire_field field;

	for (int i = 0; wire_next(&reader, &field) > 0 && i < MAX_FILES; i++) {
		if (field.number != SET_FILE || !fits(field.bytes, name))
			continue;
		*out_file = field.bytes;
		return i;
	}
	return -ENOENT;
}

/* The file, and behind it what it imports, each once. */
static void put_file(int index, struct str file, uint64_t *done, struct buf *out)
{
	struct wire_reader reader = wire_read(file);
	struct wire_field field;

	if (*done >> index & 1)
		return;
	*done |= 1ull << index;
	wire_put_bytes(out, FILES_FILE, file);
	while (wire_next(&reader, &field) > 0) {
		struct str imported;
		int i = field.number == FILE_DEPENDENCY
				? find_file(is_named, field.bytes, &imported)
				: -ENOENT;

		if (i >= 0)
			put_file(i, imported, done, out);
	}
}

static void put_error(enum grpc_status code, const char *text, struct buf *out)
{
	wire_put_uint(out, ERROR_CODE, code);
	wire_put_bytes(out, ERROR_MESSAGE, str_of(text));
}

static uint32_t put_files(bool (*fits)(struct str file, struct str name), struct str name,
			  struct buf *out)
{
	struct str file;
	uint64_t done = 0;
	int index = find_file(fits, name, &file);

	if (index < 0) {
		put_error(GRPC_NOT_FOUND, "there is no such file or symbol", out);
		return RESPONSE_ERROR;
	}
	put_file(index, file, &done, out);
	return RESPONSE_FILES;
}

static uint32_t put_services(const char *const *methods, struct buf *out)
{
	struct str last = STR("");

	for (; *methods; methods++) {
		struct str name = { *methods + 1, strcspn(*methods + 1, "/") };
		struct buf service = { 0 };

		if (!str_eq(name, last)) {
			wire_put_bytes(&service, SERVICE_NAME, name);
			wire_put_bytes(out, SERVICES_SERVICE, buf_str(&service));
		}
		if (buf_error(&service))
			out->error = buf_error(&service);
		buf_fini(&service);
		last = name;
	}
	return RESPONSE_SERVICES;
}

/* Nothing of ours is extended. */
static uint32_t put_extensions(struct str type, struct buf *out)
{
	struct str file;

	if (find_file(has_message, type, &file) < 0) {
		put_error(GRPC_NOT_FOUND, "there is no such type", out);
		return RESPONSE_ERROR;
	}
	wire_put_bytes(out, BASE_TYPE, type);
	return RESPONSE_EXTENSIONS;
}

/* Returns which field of the response it is. */
static uint32_t put_answer(const struct question *question, const char *const *methods,
			   struct buf *out)
{
	switch (question->kind) {
	case FILE_BY_NAME:
		return put_files(is_named, question->text, out);
	case FILE_OF_SYMBOL:
		return put_files(has_symbol, question->text, out);
	case EXTENSIONS:
		return put_extensions(question->text, out);
	case SERVICES:
		return put_services(methods, out);
	case FILE_OF_EXTENSION:
		put_error(GRPC_NOT_FOUND, "there are no extensions", out);
		return RESPONSE_ERROR;
	default:
		put_error(GRPC_INVALID_ARGUMENT, "nothing is asked for", out);
		return RESPONSE_ERROR;
	}
}

static int read_question(struct str request, struct question *question)
{
	struct wire_reader reader = wire_read(request);
	struct wire_field field;
	int rc;

	while ((rc = wire_next(&reader, &field)) > 0) {
		if (field.type != WIRE_BYTES)
			continue;
		if (field.number == REQUEST_HOST) {
			question->host = field.bytes;
		} else if (field.number >= FILE_BY_NAME && field.number <= SERVICES) {
			question->kind = field.number;
			question->text = field.bytes;
		}
	}
	return rc;
}

int grpc_reflection_answer(struct str request, const char *const *methods, struct buf *out)
{
	struct question question = { 0 };
	struct buf answer = { 0 };
	int rc = read_question(request, &question);
	uint32_t number;

	if (rc < 0)
		return rc;
	number = put_answer(&question, methods, &answer);
	wire_put_bytes(out, RESPONSE_HOST, question.host);
	wire_put_bytes(out, RESPONSE_REQUEST, request);
	wire_put_bytes(out, number, buf_str(&answer));
	rc = buf_error(&answer) ? buf_error(&answer) : buf_error(out);
	buf_fini(&answer);
	return rc;
}
