/* SPDX-License-Identifier: Apache-2.0 */
/* The whole terminal for a while: keys as they are pressed, a picture at a time, and the terminal
 * as it was afterwards, also after SIGINT, SIGTERM and SIGHUP. One at a time. */
#pragma once

#include <stdbool.h>

#include "collector/base/str.h"

#define SCREEN_END  (-1) /* a signal, or the terminal is gone */
#define SCREEN_TIME 0    /* nothing was pressed, or the size has changed */

/* -ENOTTY: standard input or output is no terminal. */
int screen_open(void);
void screen_close(void);

/* The size now. */
void screen_size(unsigned *out_columns, unsigned *out_rows);
/* Replaces the picture, at once; what exceeds the screen is cut off. */
void screen_draw(struct str picture);
/* A key, or one of the above. */
int screen_key(int timeout_ms);
