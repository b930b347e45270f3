/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/flow/waits/fuse.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

#define FILE_NODE 2
#define REQUESTS  (1 << 17)

static int device;
static uint32_t slow_request;

static void answer(const struct fuse_in_header *request, int error, const void *body, size_t bytes)
{
	struct fuse_out_header head = { (uint32_t)(sizeof(head) + bytes), error, request->unique };
	struct iovec parts[2] = { { &head, sizeof(head) }, { (void *)(uintptr_t)body, bytes } };

	if (writev(device, parts, 2) < 0)
		return;
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){ .ino = node,
				   .size = 1,
				   .mode = node == FILE_NODE ? S_IFREG | 0644 : S_IFDIR | 0755,
				   .nlink = 1 };
}

static void serve(const struct fuse_in_header *request)
{
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
				      .minor = FUSE_KERNEL_MINOR_VERSION,
				      .max_write = PAGE };
	struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr = attributes(FILE_NODE) };
	struct fuse_attr_out status = { .attr = attributes(request->nodeid) };
	struct fuse_open_out opened = { .open_flags = FOPEN_DIRECT_IO };

	if (request->opcode == slow_request)
		pause_ms(WAIT_MS);
	switch (request->opcode) {
	case FUSE_INIT:
		answer(request, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		answer(request, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		answer(request, 0, &status, sizeof(status));
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		answer(request, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		answer(request, 0, "x", 1);
		break;
	case FUSE_FORGET:
		break;
	default:
		answer(request, 0, NULL, 0);
	}
}

static void serve_all(void)
{
	static char request[REQUESTS];

	while (read(device, request, sizeof(request)) > 0)
		serve((const void *)request);
}

bool fuse_mount(const char *folder, uint32_t slow)
{
	char options[64];

	device = open("/dev/fuse", O_RDWR);
	if (device < 0)
		return false;
	mkdir(folder, 0700);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	if (mount("spanwise", folder, "fuse", 0, options) < 0)
		return false;
	slow_request = slow;
	run_child(serve_all);
	close(device);
	return true;
}
