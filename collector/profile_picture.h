/* SPDX-License-Identifier: Apache-2.0 */
/* A profile as a picture, with the finding marked: an SVG file, or a few lines of a terminal. */
#pragma once

#include "collector/cli/term.h"
#include "correlate/profile_diagnose.h"

/* The whole tree. `finding` (may be NULL): the line under the title. -ENOMEM. */
int profile_picture_svg(const struct diagnosis *diagnosis, const char *title, const char *finding,
			struct buf *out);

/* The top of the tree, from where it first divides; the marked frames in colour or with `*`. */
void profile_picture_text(const struct diagnosis *diagnosis, const struct term *term,
			  struct buf *out);

/* The same flame graph into a file. On failure the reason stands on stderr: negative errno. */
int profile_picture_save(const struct diagnosis *diagnosis, const char *title, const char *finding,
			 const char *path);
