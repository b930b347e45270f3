/* SPDX-License-Identifier: Apache-2.0 */
/* How a thread rests between two rounds of its work, until it is told that it is over. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct nap {
	pthread_mutex_t lock;
	pthread_cond_t news;
	bool is_over;
};

void nap_init(struct nap *nap);
/* When nobody rests any more. */
void nap_fini(struct nap *nap);

/* Returns after so long, or as soon as it is over: then false. */
bool nap_take(struct nap *nap, uint64_t ns);
/* Any thread. */
void nap_end(struct nap *nap);
