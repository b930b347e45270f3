/* SPDX-License-Identifier: Apache-2.0 */
/* Why is there no data for this span? Every link from the SDK to the ledger, in order. */
#pragma once

#include "collector/base/json_read.h"
#include "collector/cli/doctor_report.h"

/* What is known about one span. */
struct doctor_case {
	const struct json_value *status; /* NULL: the daemon cannot be reached */
	const struct json_value *trace;  /* NULL: not stored */
	const char *trace_id;
	const char *
		span_id; /* NULL: the first span of the trace without good figures, else its root */
};

/* Adds a section. Links behind the first broken one cannot be checked and are left out. */
void doctor_span_check(struct doctor_report *report, const struct doctor_case *patient);
