/* SPDX-License-Identifier: Apache-2.0 */
/* The small environment that makes a folder a data folder: identity, version, seed. */
#pragma once

#include <stdint.h>

/* Makes it in the existing folder `path`, durably. */
int state_create(const char *path);
/* -EBADMSG: damaged or foreign; -EPROTO: of a newer version, -EPROTOTYPE: of an older
 * one. */
int state_read(const char *path, uint64_t *out_seed);
