/* SPDX-License-Identifier: Apache-2.0 */
/* This kernel's types, changed into those of one that is different. */
#pragma once

struct btf;

/* For the caller to give to types_write. */
struct btf *types_open(void);

/* Nothing finds that type, or, with a name, that field of it, any more. */
void types_hide(struct btf *types, const char *type, const char *field);

/* The first field of that struct gets this name. */
void types_name_first(struct btf *types, const char *type, const char *field);

#define TYPES_PATH_BYTES 32

/* Into a file of /tmp, for the caller to unlink. Takes `types`. */
void types_write(struct btf *types, char out_path[static TYPES_PATH_BYTES]);
