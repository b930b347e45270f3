/* SPDX-License-Identifier: Apache-2.0 */
/* What the waits of waits.c are for: sockets, files, locks, memory. Opened once, never closed. */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#define PAGES      256 /* of `file` and `mapped` */
#define PAGE_BYTES 4096

struct things {
	int pipe[2], full[2], pair[2], tcp[2], udp[2], listener, event, epoll, file, lock, path[2];
	pthread_mutex_t mutex;
	pthread_cond_t condition;
	sem_t semaphore;
	uint32_t *shared, *again; /* two mappings of one word */
	char *mapped;
	struct sockaddr_in address;
};

extern struct things things;

/* Aborts unless it could be done. */
void must(bool done);

void things_open(void);
