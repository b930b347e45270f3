/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the configuration of a profiling agent, whichever it is: YAML (generic, OpenTelemetry eBPF
 * profiler, Parca agent), Alloy's blocks, flags, DD_* variables, async-profiler's options, our own
 * file.
 *
 * The file is hostile: sizes and nesting are capped. Not thread safe. */
#pragma once

#include "collector/base/buf.h"
#include "collector/base/str.h"
#include "correlate/agent_model.h"

#define AGENT_CONFIG_MAX_BYTES  ((size_t)1 << 20)
#define AGENT_CONFIG_MAX_DEPTH  32
#define AGENT_CONFIG_MAX_EVENTS 100000

/* Fills the settings with what the text says and the agent's defaults. -EBADMSG: it cannot be read,
 * or says nothing about profiling; -EINVAL: a value is wrong; `message` says which, with its line.
 */
int agent_config_parse(struct str text, struct agent_settings *out_settings, struct buf *message);
int agent_config_read(const char *path, struct agent_settings *out_settings, struct buf *message);
