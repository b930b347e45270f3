/* SPDX-License-Identifier: Apache-2.0 */
/* What is uncertain of a node's time, added up.
 *
 * Built with -DSPANWISE_TELL_DOUBTS, each doubt is told on stderr: the span, how much, and the line
 * that has it. For who replays a recording to learn why a span is uncertain; a trace that settles
 * again tells all of them again. */
#pragma once

#ifdef SPANWISE_TELL_DOUBTS
#include <stdio.h>

#define node_doubt(of, ns)                                                                         \
	do {                                                                                       \
		struct node *node_ = (of);                                                         \
		uint64_t ns_ = (ns);                                                               \
                                                                                                   \
		doubt_tell(node_, ns_);                                                            \
		node_->uncertain_ns += ns_;                                                        \
	} while (0)

#define doubt_tell(of, ns)                                                                         \
	do {                                                                                       \
		fputs("doubt ", stderr);                                                           \
		for (unsigned i_ = 0; i_ < SPAN_ID_BYTES; i_++)                                    \
			fprintf(stderr, "%02x", (of)->span->span_id[i_]);                          \
		fprintf(stderr, " %llu %s:%d\n", (unsigned long long)(ns), __FILE__, __LINE__);    \
	} while (0)
#else
#define node_doubt(of, ns) ((of)->uncertain_ns += (ns))
#define doubt_tell(of, ns) ((void)0)
#endif
