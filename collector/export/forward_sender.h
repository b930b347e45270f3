/* SPDX-License-Identifier: Apache-2.0 */
/* Sends requests of spans to another OTLP endpoint, by gRPC or HTTP, and says what became of them.
 *
 * One thread; a call blocks until the answer, the time limit, or until `cancel`. The token's file
 * is read again when it has changed. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "collector/export/forward_answer.h"

struct config;
struct forward_sender;

/* `config` (forward, forward_*) and `cancel` are borrowed. What is wrong with the settings has been
 * logged. */
int forward_sender_new(const struct config *config, const atomic_bool *cancel,
		       struct forward_sender **out_sender);
void forward_sender_free(struct forward_sender *sender);

struct forward_result {
	enum forward_verdict verdict;
	uint64_t rejected; /* of FORWARD_DONE */
	uint32_t delay_ms; /* how long the other side asks us to wait; 0: not said */
	const char *text;  /* for people; lives until the next call */
};

/* `request`: an ExportTraceServiceRequest of so many spans. */
struct forward_result forward_sender_send(struct forward_sender *sender, struct str request,
					  unsigned spans);
