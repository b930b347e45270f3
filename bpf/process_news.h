/* SPDX-License-Identifier: Apache-2.0 */
/* What happened to processes, for another thread to look at. Not thread-safe by itself. */
#pragma once

#include <stdint.h>

#define PROCESS_NEWS_MAX 1024

enum process_change { PROCESS_MAPPED, PROCESS_OTHER_PROGRAM, PROCESS_GONE };

struct process_news {
	uint32_t pid;
	enum process_change change;
};

struct process_news_list {
	struct process_news news[PROCESS_NEWS_MAX]; /* of each process in order */
	uint32_t count;
};

/* The same twice in a row is once. Beyond the last place it is lost. */
void process_news_put(struct process_news_list *list, struct process_news news);
