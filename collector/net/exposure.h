/* SPDX-License-Identifier: Apache-2.0 */
/* Who could connect, and is somebody at the door: the rule that an address which other machines
 * can reach needs TLS or bearer tokens. */
#pragma once

struct buf;
struct config;

/* -EINVAL, with a line for each listener whose settings do not go together. */
int exposure_check(const struct config *config, struct buf *message);
