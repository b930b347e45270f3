/* SPDX-License-Identifier: Apache-2.0 */
/* What a query answers: a status, a type and a body. Every error looks alike:
 * {"error":{"code":"not_found","message":"..."}}. */
#pragma once

#include <stdbool.h>

#include "collector/base/buf.h"

#define ANSWER_MAX_BYTES ((size_t)32 << 20)

struct answer {
	int status;
	const char *content_type; /* static text */
	const char *headers;      /* static text: further header lines, or NULL */
	bool has_etag;            /* worth asking whether it changed */
	struct buf body;
};

/* 200, JSON, empty. */
void answer_init(struct answer *answer);
void answer_fini(struct answer *answer);

/* Why something cannot be read from the store. */
void answer_storage(struct answer *answer, const char *what, int rc);

/* Replaces whatever stood there. `code`: one lower-case word that programs compare. */
void answer_fail(struct answer *answer, int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
