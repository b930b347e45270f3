/* SPDX-License-Identifier: Apache-2.0 */
/* A connection with oneself, which other waits are about, too. */
#pragma once

extern int tcp[2];
void open_tcp(void);
/* The same, and says that it is the target. */
void before_tcp(void);
/* Takes what was sent to tcp[1]. */
void drain_tcp(void);
