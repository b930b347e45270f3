/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of all listeners, by the settings. Loop thread only. */
#pragma once

#include <stdbool.h>

#include "collector/net/credentials.h"

struct config;

enum { GUARDED_GRPC, GUARDED_HTTP, GUARDED_API, GUARDED };

struct guards {
	struct credentials of[GUARDED];
};

/* What failed has been logged; close it in either case. */
int guards_open(const struct config *config, struct guards *guards);
void guards_close(struct guards *guards); /* accepts a zeroed one */
void guards_reload(struct guards *guards, bool force);
