/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a configuration, flattened: keys and values, whatever notation it is in. The only
 * file that speaks to libyaml. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/str.h"

/* Calls `on_setting` for every scalar: its key in lower case with `_`, its parents' before it; a
 * negative return ends the walk. -EBADMSG: `message` says where. */
int agent_text_walk(struct str text,
		    int (*on_setting)(void *arg, const char *key, const char *value, unsigned line),
		    void *arg, struct buf *message);
