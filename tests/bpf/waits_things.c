/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bpf/waits_things.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct things things = { .mutex = PTHREAD_MUTEX_INITIALIZER,
			 .condition = PTHREAD_COND_INITIALIZER };

void must(bool done)
{
	if (!done)
		abort();
}

static void open_sockets(void)
{
	socklen_t bytes = sizeof(things.address);

	things.address.sin_family = AF_INET;
	things.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	things.listener = socket(AF_INET, SOCK_STREAM, 0);
	must(bind(things.listener, (void *)&things.address, bytes) == 0);
	must(listen(things.listener, 8) == 0);
	getsockname(things.listener, (void *)&things.address, &bytes);
	things.tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(things.tcp[0], (void *)&things.address, bytes) == 0);
	things.tcp[1] = accept(things.listener, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in any = { .sin_family = AF_INET };

		any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		things.udp[i] = socket(AF_INET, SOCK_DGRAM, 0);
		must(bind(things.udp[i], (void *)&any, sizeof(any)) == 0);
	}
	struct sockaddr_in other;

	getsockname(things.udp[0], (void *)&other, &bytes);
	must(connect(things.udp[1], (void *)&other, bytes) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, things.pair) == 0);
}

/* A client of a unix socket that has a path. */
static void open_path(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/spanwise-%d.sock",
		 (int)getpid());
	unlink(address.sun_path);
	must(bind(listener, (void *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0);
	things.path[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	must(connect(things.path[0], (void *)&address, sizeof(address)) == 0);
	things.path[1] = accept(listener, NULL, NULL);
	unlink(address.sun_path);
}

void things_open(void)
{
	char block[PAGE_BYTES] = "x", path[] = "spanwise-waits-XXXXXX";
	struct epoll_event interest = { .events = EPOLLIN };

	must(pipe(things.pipe) == 0 && pipe(things.full) == 0);
	fcntl(things.full[1], F_SETFL, O_NONBLOCK);
	while (write(things.full[1], block, sizeof(block)) > 0)
		;
	fcntl(things.full[1], F_SETFL, 0);
	open_sockets();
	open_path();
	things.event = eventfd(0, 0);
	things.epoll = epoll_create1(0);
	epoll_ctl(things.epoll, EPOLL_CTL_ADD, things.event, &interest);
	sem_init(&things.semaphore, 0, 0);
	things.file = mkstemp(path);
	things.lock = open(path, O_RDWR);
	unlink(path);
	for (int i = 0; i < PAGES; i++)
		must(write(things.file, block, sizeof(block)) == sizeof(block));
	fsync(things.file);
	things.mapped = mmap(NULL, PAGES * PAGE_BYTES, PROT_READ, MAP_SHARED, things.file, 0);
	madvise(things.mapped, PAGES * PAGE_BYTES, MADV_RANDOM);
	int memory = memfd_create("word", 0);

	must(ftruncate(memory, 2 * PAGE_BYTES) == 0);
	things.shared =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, PAGE_BYTES);
	things.again = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	things.again += PAGE_BYTES / sizeof(*things.again);
}
