/* SPDX-License-Identifier: Apache-2.0 */
/* How waits.c plays a wait, and those of its waits that waits_beside.c plays again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "correlate/ledger.h"

#define WAIT_MS 6

extern pid_t child;

void publish(uint64_t span);
/* Under a tag, with the line that tells of it. */
void play(const char *name, uint64_t span, enum ledger_reason reason, void (*wait)(void));

void wait_udp(void);
void end_udp(void);
void forget_pages(void);
void wait_read(void);
void reap(void);

void play_innocent(void);
void play_burn(bool in_a_crowd);
