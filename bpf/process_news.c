/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/process_news.h"

#include <stdbool.h>

/* What has come for it since may have undone the same news from before. */
static bool is_last_of_its_process(const struct process_news_list *list, struct process_news news)
{
	for (uint32_t i = list->count; i > 0; i--)
		if (list->news[i - 1].pid == news.pid)
			return list->news[i - 1].change == news.change;
	return false;
}

void process_news_put(struct process_news_list *list, struct process_news news)
{
	if (list->count < PROCESS_NEWS_MAX && !is_last_of_its_process(list, news))
		list->news[list->count++] = news;
}
