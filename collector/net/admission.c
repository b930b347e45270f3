/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/admission.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "collector/base/map.h"

#define PEER_BYTES 8

struct admission {
	uint32_t max_total, max_per_peer;
	pthread_mutex_t lock;
	uint32_t total;   /* these two under `lock` */
	struct map peers; /* struct peer -> uint32_t: connections */
};

struct peer {
	uint8_t family;
	uint8_t address[PEER_BYTES];
};

static struct peer peer_of(const struct sockaddr_storage *address)
{
	struct peer peer;

	memset(&peer, 0, sizeof(peer));
	peer.family = (uint8_t)address->ss_family;
	if (address->ss_family == AF_INET) {
		struct sockaddr_in in4;

		memcpy(&in4, address, sizeof(in4));
		memcpy(peer.address, &in4.sin_addr, sizeof(in4.sin_addr));
	} else {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		memcpy(peer.address, &in6.sin6_addr, PEER_BYTES);
	}
	return peer;
}

int admission_new(uint32_t max_total, uint32_t max_per_peer, struct admission **out_admission)
{
	struct admission *admission = calloc(1, sizeof(*admission));
	uint64_t seed = 0;

	if (!admission)
		return -ENOMEM;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = (uint64_t)(uintptr_t)admission;
	admission->max_total = max_total;
	admission->max_per_peer = max_per_peer;
	pthread_mutex_init(&admission->lock, NULL);
	map_init(&admission->peers, sizeof(struct peer), sizeof(uint32_t), seed);
	*out_admission = admission;
	return 0;
}

void admission_free(struct admission *admission)
{
	if (!admission)
		return;
	map_fini(&admission->peers);
	pthread_mutex_destroy(&admission->lock);
	free(admission);
}

bool admission_enter(struct admission *admission)
{
	bool has_room;

	pthread_mutex_lock(&admission->lock);
	has_room = admission->total < admission->max_total;
	admission->total += has_room;
	pthread_mutex_unlock(&admission->lock);
	return has_room;
}

void admission_leave(struct admission *admission)
{
	pthread_mutex_lock(&admission->lock);
	admission->total--;
	pthread_mutex_unlock(&admission->lock);
}

uint32_t admission_count(struct admission *admission)
{
	uint32_t total;

	pthread_mutex_lock(&admission->lock);
	total = admission->total;
	pthread_mutex_unlock(&admission->lock);
	return total;
}

bool admission_enter_peer(struct admission *admission, const struct sockaddr_storage *address)
{
	struct peer peer = peer_of(address);
	uint32_t *count;
	bool has_room;

	if (!admission->max_per_peer)
		return true;
	pthread_mutex_lock(&admission->lock);
	count = map_put(&admission->peers, &peer);
	has_room = count && *count < admission->max_per_peer;
	if (has_room)
		++*count;
	pthread_mutex_unlock(&admission->lock);
	return has_room;
}

void admission_leave_peer(struct admission *admission, const struct sockaddr_storage *address)
{
	struct peer peer = peer_of(address);
	uint32_t *count;

	if (!admission->max_per_peer)
		return;
	pthread_mutex_lock(&admission->lock);
	count = map_get(&admission->peers, &peer);
	if (count && --*count == 0)
		map_delete(&admission->peers, &peer);
	pthread_mutex_unlock(&admission->lock);
}
