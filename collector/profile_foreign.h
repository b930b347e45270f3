/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are no profile spanwise reads, but that people have at hand: what they are, and what
 * to do with them. A table. */
#pragma once

#include "collector/base/str.h"

/* "a JFR recording: convert it ..."; NULL: not known. */
const char *profile_foreign_advice(struct str head);
