/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/file_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collector/base/macros.h"

/* The format of LMDB 0.9, 64-bit, little-endian; `lmdb.h` names it version 1. */
#define META_MAGIC   0xbeefc0deu
#define META_VERSION 1u
#define META_PAGES   2u
#define NO_PAGE      UINT64_MAX
#define MAX_DEPTH    32

enum page_flag { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum node_flag { NODE_BIG = 1, NODE_TREE = 2 };
#define TREE_INTEGER_KEYS 8u
#define TREE_FLAGS        0xffu /* above, the free list's carry how the file was once opened */

struct page {
	uint64_t number;
	uint16_t pad;
	uint16_t flags;
	uint16_t lower; /* with upper: the page count of an overflow page */
	uint16_t upper;
};

struct tree {
	uint32_t page_bytes;
	uint16_t flags;
	uint16_t depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries;
	uint64_t root;
};

struct meta {
	uint32_t magic;
	uint32_t version;
	uint64_t address;
	uint64_t map_bytes;
	struct tree free_list, main;
	uint64_t last_page;
	uint64_t txn;
};

struct node {
	uint16_t low, high;
	uint16_t flags;
	uint16_t key_bytes;
};

struct check {
	const char *map;
	uint64_t page_bytes;
	uint64_t page_count; /* whole ones in the file, at most last_page + 1 */
	uint64_t last_page;
	uint8_t *seen; /* a bit for each page */
};

_Static_assert(sizeof(struct page) == 16 && sizeof(struct tree) == 48, "LMDB's");
_Static_assert(sizeof(struct meta) == 136 && sizeof(struct node) == 8, "LMDB's");

/* false: outside the file, or claimed before. */
static bool claim(struct check *check, uint64_t number, uint64_t count)
{
	if (number < META_PAGES || count == 0 || number >= check->page_count ||
	    count > check->page_count - number)
		return false;
	for (uint64_t i = number; i < number + count; i++) {
		if (check->seen[i / 8] & 1u << i % 8)
			return false;
		check->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return true;
}

static bool check_overflow(struct check *check, uint64_t number, uint64_t value_bytes)
{
	struct page page;
	uint32_t pages;

	if (number < META_PAGES || number >= check->page_count)
		return false;
	memcpy(&page, check->map + number * check->page_bytes, sizeof(page));
	pages = (uint32_t)page.upper << 16 | page.lower;
	return page.number == number && page.flags == PAGE_OVERFLOW &&
	       sizeof(page) + value_bytes <= pages * check->page_bytes &&
	       claim(check, number, pages);
}

/* One node, its key and, in a leaf, its value. */
struct item {
	struct node node;
	const char *key;
	const char *value;
	uint64_t value_bytes; /* of a leaf */
	uint64_t child;       /* of a branch, or of a big value */
};

static bool read_item(const struct check *check, const char *page, unsigned index, bool is_leaf,
		      struct item *item)
{
	struct page head;
	uint16_t offset;
	uint64_t left;

	memcpy(&head, page, sizeof(head));
	memcpy(&offset, page + sizeof(head) + 2 * (size_t)index, sizeof(offset));
	if (offset < head.upper || offset % 2 || offset > check->page_bytes - sizeof(item->node))
		return false;
	memcpy(&item->node, page + offset, sizeof(item->node));
	left = check->page_bytes - offset - sizeof(item->node);
	if (item->node.key_bytes > left)
		return false;
	item->key = page + offset + sizeof(item->node);
	item->value = item->key + item->node.key_bytes;
	left -= item->node.key_bytes;
	item->value_bytes = (uint32_t)item->node.high << 16 | item->node.low;
	item->child = (uint64_t)item->node.flags << 32 | item->value_bytes;
	if (!is_leaf)
		return true;
	if (item->node.flags & ~(unsigned)(NODE_BIG | NODE_TREE))
		return false;
	if (item->node.flags & NODE_BIG) {
		if (left < sizeof(item->child))
			return false;
		memcpy(&item->child, item->value, sizeof(item->child));
		return true;
	}
	return item->value_bytes <= left;
}

static bool is_ascending(const struct item *before, const struct item *item, bool integer_keys)
{
	size_t common = MIN(before->node.key_bytes, item->node.key_bytes);
	uint64_t a, b;
	int order;

	if (integer_keys) {
		if (before->node.key_bytes != sizeof(a) || item->node.key_bytes != sizeof(b))
			return false;
		memcpy(&a, before->key, sizeof(a));
		memcpy(&b, item->key, sizeof(b));
		return a < b;
	}
	order = memcmp(before->key, item->key, common);
	return order < 0 || (order == 0 && before->node.key_bytes < item->node.key_bytes);
}

/* A value of the free list: a count and so many page numbers, descending. */
static bool check_free_pages(const struct check *check, const struct item *item)
{
	const char *at = item->value;
	uint64_t count, number, before = check->last_page + 1;

	if (item->node.flags & NODE_BIG)
		at = check->map + item->child * check->page_bytes + sizeof(struct page);
	if (item->value_bytes < sizeof(count) || item->node.key_bytes != sizeof(count))
		return false;
	memcpy(&count, at, sizeof(count));
	if (count > item->value_bytes / sizeof(count) - 1)
		return false;
	for (uint64_t i = 1; i <= count; i++) {
		memcpy(&number, at + i * sizeof(number), sizeof(number));
		if (number < META_PAGES || number >= before)
			return false;
		before = number;
	}
	return true;
}

enum tree_kind { TREE_FREE, TREE_MAIN, TREE_NAMED };

static bool check_tree(struct check *check, const struct tree *tree, enum tree_kind kind);

static bool check_leaf_item(struct check *check, const struct item *item, enum tree_kind kind)
{
	struct tree tree;

	if (item->node.flags & NODE_BIG && !check_overflow(check, item->child, item->value_bytes))
		return false;
	if (kind == TREE_FREE)
		return item->node.flags != NODE_TREE && check_free_pages(check, item);
	if (!(item->node.flags & NODE_TREE))
		return true;
	if (kind != TREE_MAIN || item->node.flags != NODE_TREE || item->value_bytes != sizeof(tree))
		return false;
	memcpy(&tree, item->value, sizeof(tree));
	return tree.flags == 0 && check_tree(check, &tree, TREE_NAMED);
}

static bool check_page(struct check *check, uint64_t number, unsigned level, enum tree_kind kind)
{
	const char *page = check->map + number * check->page_bytes;
	bool is_leaf = level == 1;
	struct item item, before = { 0 };
	struct page head;
	unsigned count;

	if (!claim(check, number, 1))
		return false;
	memcpy(&head, page, sizeof(head));
	if (head.number != number || head.flags != (is_leaf ? PAGE_LEAF : PAGE_BRANCH) ||
	    head.lower < sizeof(head) || head.lower % 2 || head.lower > head.upper ||
	    head.upper > check->page_bytes)
		return false;
	count = (head.lower - (unsigned)sizeof(head)) / 2;
	if (count == 0)
		return false;
	for (unsigned i = 0; i < count; i++, before = item) {
		if (!read_item(check, page, i, is_leaf, &item))
			return false;
		if (i > (is_leaf ? 0 : 1) && !is_ascending(&before, &item, kind == TREE_FREE))
			return false; /* a branch's first key is not used, and empty */
		if (is_leaf ? !check_leaf_item(check, &item, kind)
			    : item.child >= check->page_count ||
				      !check_page(check, item.child, level - 1, kind))
			return false;
	}
	return true;
}

static bool check_tree(struct check *check, const struct tree *tree, enum tree_kind kind)
{
	if (tree->root == NO_PAGE)
		return tree->depth == 0 && tree->entries == 0;
	return tree->depth >= 1 && tree->depth <= MAX_DEPTH && tree->root < check->page_count &&
	       check_page(check, tree->root, tree->depth, kind);
}

static int read_meta(const char *map, uint64_t page_bytes, unsigned index, struct meta *out_meta)
{
	const char *at = map + index * page_bytes;
	struct page page;

	memcpy(&page, at, sizeof(page));
	memcpy(out_meta, at + sizeof(page), sizeof(*out_meta));
	if (page.number != index || page.flags != PAGE_META || out_meta->magic != META_MAGIC)
		return -EBADMSG;
	if (out_meta->version != META_VERSION)
		return -EPROTO;
	return out_meta->free_list.page_bytes == page_bytes ? 0 : -EBADMSG;
}

/* Commits write the two meta pages in turn: the newer one is one ahead, or its number is a lie and
 * believing the other would silently take back acknowledged commits. */
static int newest_meta(const char *map, uint64_t page_bytes, struct meta *out_meta)
{
	struct meta metas[META_PAGES];
	int newer;

	for (unsigned i = 0; i < META_PAGES; i++) {
		int rc = read_meta(map, page_bytes, i, &metas[i]);

		if (rc < 0)
			return rc;
	}
	newer = metas[1].txn > metas[0].txn;
	if (metas[newer].txn - metas[!newer].txn > 1 || (metas[newer].txn & 1) != (uint64_t)newer)
		return -EBADMSG;
	*out_meta = metas[newer];
	return 0;
}

static int check_map(const char *map, uint64_t bytes)
{
	struct check check = { .map = map, .page_bytes = (uint64_t)sysconf(_SC_PAGESIZE) };
	struct meta meta;
	bool is_fine;
	int rc;

	if (bytes < META_PAGES * check.page_bytes)
		return -EBADMSG;
	rc = newest_meta(map, check.page_bytes, &meta);
	if (rc < 0)
		return rc;
	if (meta.last_page > UINT64_MAX / 2 / check.page_bytes ||
	    (meta.free_list.flags & TREE_FLAGS) != TREE_INTEGER_KEYS || meta.main.flags != 0)
		return -EBADMSG;
	check.last_page = meta.last_page;
	check.page_count = MIN(bytes / check.page_bytes, meta.last_page + 1);
	check.seen = calloc(1, (size_t)(check.page_count / 8 + 1));
	if (!check.seen)
		return -ENOMEM;
	is_fine = check_tree(&check, &meta.free_list, TREE_FREE) &&
		  check_tree(&check, &meta.main, TREE_MAIN);
	free(check.seen);
	return is_fine ? 0 : -EBADMSG;
}

int file_check(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = -EBADMSG;
	struct stat stat;
	void *map;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &stat) == 0 && stat.st_size > 0) {
		map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
		rc = map == MAP_FAILED ? -errno : check_map(map, (uint64_t)stat.st_size);
		if (map != MAP_FAILED)
			munmap(map, (size_t)stat.st_size);
	}
	close(fd);
	return rc;
}
