/* SPDX-License-Identifier: Apache-2.0 */
/* Tells slices as the kernel's half does: in short where nothing but times is new. */
#pragma once

#include "collector/base/map.h"
#include "correlate/again.h"
#include "correlate/correlator.h"

struct shortener {
	struct correlator *correlator;
	struct map lasts; /* tid -> struct event_last */
	uint64_t told_in_short;
};

static inline void shortener_init(struct shortener *s, struct correlator *correlator)
{
	*s = (struct shortener){ .correlator = correlator };
	map_init(&s->lasts, sizeof(uint32_t), sizeof(struct event_last), 0);
}

static inline void shortener_fini(struct shortener *s)
{
	map_fini(&s->lasts);
}

static inline int shortener_tell(struct shortener *s, const struct event_slice *slice)
{
	struct event_last *last = map_put(&s->lasts, &slice->tid);
	struct event_again again;
	int rc;

	if (last && event_again_make(slice, last, &again)) {
		event_again_apply(&again, last);
		s->told_in_short++;
		return correlator_record(s->correlator, &again.header);
	}
	rc = correlator_record(s->correlator, &slice->header);
	if (last && rc == 0)
		event_last_note(last, slice);
	else if (last)
		last->slice.header.bytes = 0;
	return rc;
}
