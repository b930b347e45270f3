/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/elf_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "collector/base/macros.h"
#include "collector/base/map.h"

#define NOWHERE UINT32_MAX

struct file_key {
	uint64_t device;
	uint64_t inode;
	uint64_t changed_ns;
	uint64_t size;
};

struct node {
	struct file_key key;
	struct elf_tls *tls; /* owned; NULL: nothing to say */
	int error;
	uint32_t newer, older; /* in the order of use */
};

struct elf_cache {
	struct map by_key; /* file_key -> uint32_t, an index of nodes */
	struct node *nodes;
	uint32_t count, max;
	uint32_t newest, oldest;
	uint32_t refused;
	size_t tls_bytes;
};

int elf_cache_new(uint32_t max_files, struct elf_cache **out_cache)
{
	struct elf_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	cache->nodes = calloc(max_files, sizeof(*cache->nodes));
	if (!cache->nodes) {
		free(cache);
		return -ENOMEM;
	}
	map_init(&cache->by_key, sizeof(struct file_key), sizeof(uint32_t), 0);
	cache->max = max_files;
	cache->newest = cache->oldest = NOWHERE;
	*out_cache = cache;
	return 0;
}

void elf_cache_free(struct elf_cache *cache)
{
	if (!cache)
		return;
	for (uint32_t i = 0; i < cache->count; i++)
		free(cache->nodes[i].tls);
	free(cache->nodes);
	map_fini(&cache->by_key);
	free(cache);
}

static void unlink_node(struct elf_cache *cache, struct node *node)
{
	if (node->newer == NOWHERE)
		cache->newest = node->older;
	else
		cache->nodes[node->newer].older = node->older;
	if (node->older == NOWHERE)
		cache->oldest = node->newer;
	else
		cache->nodes[node->older].newer = node->newer;
}

static void link_newest(struct elf_cache *cache, uint32_t index)
{
	struct node *node = &cache->nodes[index];

	node->newer = NOWHERE;
	node->older = cache->newest;
	if (cache->newest != NOWHERE)
		cache->nodes[cache->newest].newer = index;
	else
		cache->oldest = index;
	cache->newest = index;
}

static void forget(struct elf_cache *cache, struct node *node)
{
	map_delete(&cache->by_key, &node->key);
	cache->tls_bytes -= node->tls ? sizeof(*node->tls) : 0;
	free(node->tls);
	node->tls = NULL;
}

/* A node to fill: a new one, or the one that was not asked for the longest. */
static uint32_t take_node(struct elf_cache *cache)
{
	uint32_t index = cache->oldest;

	if (cache->count < cache->max)
		return cache->count++;
	unlink_node(cache, &cache->nodes[index]);
	forget(cache, &cache->nodes[index]);
	return index;
}

static bool says_something(const struct elf_tls *tls)
{
	return tls->has_variable || tls->libc != ELF_LIBC_NONE || tls->is_program;
}

static int read_file(int fd, struct elf_tls *out_tls)
{
	struct elf_file file;
	int rc = elf_file_open(&file, fd);

	return rc < 0 ? rc : elf_tls_read(&file, out_tls);
}

static int fill(struct elf_cache *cache, struct node *node, int fd)
{
	struct elf_tls tls = { 0 };

	node->error = read_file(fd, &tls);
	if (node->error == -EBADMSG || node->error == -E2BIG)
		cache->refused++;
	if (node->error || !says_something(&tls))
		return 0;
	node->tls = malloc(sizeof(tls));
	if (!node->tls)
		return -ENOMEM;
	*node->tls = tls;
	cache->tls_bytes += sizeof(tls);
	return 0;
}

static int add(struct elf_cache *cache, const struct file_key *key, int fd, uint32_t *out_index)
{
	uint32_t index = take_node(cache);
	struct node *node = &cache->nodes[index];
	uint32_t *slot;
	int rc;

	*node = (struct node){ .key = *key };
	link_newest(cache, index);
	rc = fill(cache, node, fd);
	slot = rc == 0 ? map_put(&cache->by_key, key) : NULL;
	if (!slot) { /* out of memory: the node stays, unfindable, until it is the oldest */
		node->error = -ENOMEM;
		return -ENOMEM;
	}
	*slot = index;
	*out_index = index;
	return 0;
}

static int key_of(int fd, struct file_key *out_key)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	*out_key = (struct file_key){
		.device = status.st_dev,
		.inode = status.st_ino,
		.changed_ns = (uint64_t)status.st_mtim.tv_sec * NS_PER_SEC +
			      (uint64_t)status.st_mtim.tv_nsec,
		.size = (uint64_t)status.st_size,
	};
	return 0;
}

static bool find(struct elf_cache *cache, const struct file_key *key, uint32_t *out_index)
{
	const uint32_t *slot = map_get(&cache->by_key, key);

	if (!slot)
		return false;
	*out_index = *slot;
	unlink_node(cache, &cache->nodes[*out_index]);
	link_newest(cache, *out_index);
	return true;
}

static int tell(const struct node *node, const struct elf_tls **out_tls)
{
	if (node->error)
		return node->error;
	*out_tls = node->tls;
	return 0;
}

bool elf_cache_knows(struct elf_cache *cache, int fd, int *out_rc, const struct elf_tls **out_tls)
{
	struct file_key key;
	uint32_t index;

	if (key_of(fd, &key) < 0 || !find(cache, &key, &index))
		return false;
	*out_rc = tell(&cache->nodes[index], out_tls);
	return true;
}

int elf_cache_get(struct elf_cache *cache, int fd, const struct elf_tls **out_tls)
{
	struct file_key key;
	uint32_t index;
	int rc = key_of(fd, &key);

	if (rc < 0)
		return rc;
	if (!find(cache, &key, &index)) {
		rc = add(cache, &key, fd, &index);
		if (rc < 0)
			return rc;
	}
	return tell(&cache->nodes[index], out_tls);
}

uint32_t elf_cache_refused(const struct elf_cache *cache)
{
	return cache->refused;
}

size_t elf_cache_bytes(const struct elf_cache *cache)
{
	return cache->max * sizeof(struct node) + map_bytes(&cache->by_key) + cache->tls_bytes;
}
