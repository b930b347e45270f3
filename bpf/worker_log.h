/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what libbpf would print, for the one sentence that a user gets to see. */
#pragma once

/* From now on libbpf prints nothing. */
void worker_log_capture(void);

/* The line that says most: the first complaint of the last try, cut to fit. Never NULL. */
const char *worker_log_last(void);
