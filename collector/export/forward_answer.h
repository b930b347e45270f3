/* SPDX-License-Identifier: Apache-2.0 */
/* What another OTLP endpoint answered, and what that means for the spans that were sent: as the
 * specification of OTLP's exporters has it. No I/O. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "collector/base/buf.h"
#include "collector/base/str.h"

struct forward_answer {
	bool is_grpc;
	int status;              /* HTTP's; negative errno: there was no answer */
	int grpc_status;         /* negative: not said */
	uint32_t retry_after_ms; /* Retry-After, RetryInfo or pushback; 0: not said */
	bool refuses_gzip;       /* grpc-accept-encoding names others, and not this one */
	struct str body;         /* borrowed */
	struct buf text;         /* grpc-message */
};

void forward_answer_init(struct forward_answer *answer, bool is_grpc);
void forward_answer_fini(struct forward_answer *answer);

/* A header field or trailer of it. */
void forward_answer_take(struct forward_answer *answer, struct str name, struct str value);

enum forward_verdict {
	FORWARD_DONE,    /* taken, all but `rejected` */
	FORWARD_REFUSED, /* for good, all of them */
	FORWARD_AGAIN,   /* later, the same */
	FORWARD_SMALLER, /* at once, fewer at a time */
	FORWARD_PLAIN,   /* at once, unpacked */
};

/* `spans`: how many were sent; `packed`: with gzip. `out_rejected`: of FORWARD_DONE. */
enum forward_verdict forward_answer_judge(const struct forward_answer *answer, unsigned spans,
					  bool packed, uint64_t *out_rejected);
