/* SPDX-License-Identifier: Apache-2.0 */
/* Whose other end is told: the peer of either side, of either family, of datagrams; names that are
 * no paths; and sockets that have nobody. */
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define BLOCK 65536

static char block[BLOCK];
/* Who waits, who ends that, and what the first one may have listened at. */
static int here = -1, there = -1, listener = -1;

static void close_all(void)
{
	close(here);
	close(there);
	close(listener);
	here = there = listener = -1;
}

static void receive(void)
{
	must(recv(here, block, sizeof(block), 0) > 0);
}

static void send_thread(void)
{
	say_waker("thread", own_tid());
	must(send(there, block, 1, 0) == 1);
}

static void send_network(void)
{
	say_waker("network", own_tid());
	must(send(there, block, 1, 0) == 1);
}

static void set_timeout(int fd)
{
	struct timeval time = { .tv_usec = WAIT_MS * 1000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
}

static int port_of(int fd)
{
	struct sockaddr_in6 own;
	socklen_t bytes = sizeof(own);

	must(getsockname(fd, (void *)&own, &bytes) == 0);
	return ntohs(own.sin6_port); /* at the same place in both */
}

/* ---- connections */

static const struct sockaddr_in6 loopback6 = { .sin6_family = AF_INET6,
					       .sin6_addr = IN6ADDR_LOOPBACK_INIT },
				 any6 = { .sin6_family = AF_INET6 };

static void listen_at(const struct sockaddr_in6 *address, int protocol)
{
	listener = socket(address->sin6_family, SOCK_STREAM, protocol);
	if (listener < 0) {
		say_missing("no such socket");
		return;
	}
	must(bind(listener, (const void *)address, sizeof(*address)) == 0);
	must(listen(listener, 4) == 0);
}

static void before_tcp6(void)
{
	struct sockaddr_in6 to = loopback6;

	listen_at(&loopback6, 0);
	to.sin6_port = htons(port_of(listener));
	here = socket(AF_INET6, SOCK_STREAM, 0);
	must(connect(here, (void *)&to, sizeof(to)) == 0);
	there = accept(listener, NULL, NULL);
	say_target("\\\\[::1\\\\]:%d", port_of(listener));
}

static void before_accept6(void)
{
	listen_at(&loopback6, 0);
	say_target("own port %d", port_of(listener));
}

static void wait_accept6(void)
{
	here = accept(listener, NULL, NULL);
}

static void end_accept6(void)
{
	struct sockaddr_in6 to = loopback6;

	to.sin6_port = htons(port_of(listener));
	there = socket(AF_INET6, SOCK_STREAM, 0);
	say_waker("network", own_tid());
	must(connect(there, (void *)&to, sizeof(to)) == 0);
}

static void connect_inet4(int protocol)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(port_of(listener));
	there = socket(AF_INET, SOCK_STREAM, protocol);
	must(connect(there, (void *)&to, sizeof(to)) == 0);
	here = accept(listener, NULL, NULL);
	say_target("127.0.0.1:%d", port_of(there));
}

/* A server that listens at both families knows this client as ::ffff:127.0.0.1. */
static void before_mapped(void)
{
	listen_at(&any6, 0);
	connect_inet4(0);
}

static void before_multipath(void)
{
	listen_at(&any6, IPPROTO_MPTCP);
	if (listener >= 0)
		connect_inet4(IPPROTO_MPTCP);
}

static void wait_readv(void)
{
	struct iovec part = { block, sizeof(block) };

	must(readv(here, &part, 1) == 1);
}

static void wait_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(here, &set);
	must(select(here + 1, &set, NULL, NULL, NULL) == 1);
	receive();
}

/* What others wait for in the end. */
static void wait_epoll_one(void)
{
	struct epoll_event interest = { .events = EPOLLIN }, event;
	int poller = epoll_create1(0);

	must(epoll_ctl(poller, EPOLL_CTL_ADD, here, &interest) == 0);
	must(epoll_wait(poller, &event, 1, -1) == 1);
	close(poller);
	receive();
}

/* Nobody takes what was sent, and close() is to wait for that. */
static void before_linger(void)
{
	const struct linger linger = { 1, 1 };

	before_mapped();
	say_target("%s", "");
	setsockopt(here, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	while (send(here, block, BLOCK, MSG_DONTWAIT) > 0)
		;
}

static void wait_linger(void)
{
	close(here);
	here = -1;
}

static void end_linger(void)
{
	while (recv(there, block, BLOCK, 0) > 0)
		;
}

/* ---- datagrams */

static void bind_datagrams(const struct sockaddr_in6 *address)
{
	here = socket(address->sin6_family, SOCK_DGRAM, 0);
	there = socket(address->sin6_family, SOCK_DGRAM, 0);
	must(bind(here, (const void *)address, sizeof(*address)) == 0);
	must(bind(there, (const void *)address, sizeof(*address)) == 0);
}

static void connect_to(int from, int to, struct sockaddr_in6 address)
{
	address.sin6_port = htons(port_of(to));
	must(connect(from, (void *)&address, sizeof(address)) == 0);
}

static void before_udp_connected(void)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET };

	((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind_datagrams(&address);
	connect_to(here, there, address);
	connect_to(there, here, address);
	say_target("127.0.0.1:%d", port_of(there));
}

static void before_udp6(void)
{
	bind_datagrams(&loopback6);
	connect_to(there, here, loopback6);
	say_target("own port %d", port_of(here));
}

static void wait_recvfrom(void)
{
	struct sockaddr_in6 from;
	socklen_t bytes = sizeof(from);

	must(recvfrom(here, block, sizeof(block), 0, (void *)&from, &bytes) == 1);
}

static void before_udp6_connected(void)
{
	bind_datagrams(&loopback6);
	connect_to(here, there, loopback6);
	connect_to(there, here, loopback6);
	say_target("\\\\[::1\\\\]:%d", port_of(there));
}

static void wait_in_vain(void)
{
	say_waker("timer", 0);
	set_timeout(here);
	must(recv(here, block, sizeof(block), 0) < 0);
}

/* Neither bound nor connected: nobody can send to it. */
static void before_nobody(void)
{
	here = socket(AF_INET, SOCK_DGRAM, 0);
	say_target("unbound socket");
}

/* It has a protocol, and no port. */
static void before_raw(void)
{
	here = socket(AF_INET, SOCK_RAW, IPPROTO_EGP);
	if (here < 0)
		say_missing("no raw sockets");
	say_target("raw socket, protocol %d", IPPROTO_EGP);
}

static void before_raw_connected(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	before_raw();
	if (here >= 0)
		must(connect(here, (void *)&to, sizeof(to)) == 0);
	say_target("raw socket, protocol %d", IPPROTO_EGP);
}

/* ---- unix sockets */

static struct sockaddr_un local = { .sun_family = AF_UNIX };

static socklen_t name_local(const char *name, bool is_abstract)
{
	memset(local.sun_path, 0, sizeof(local.sun_path));
	strcpy(local.sun_path + is_abstract, name);
	if (!is_abstract)
		unlink(name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(name) +
			   !is_abstract);
}

static void before_abstract(void)
{
	socklen_t bytes = name_local("spanwise-cart", true);

	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	must(bind(listener, (void *)&local, bytes) == 0 && listen(listener, 4) == 0);
	here = socket(AF_UNIX, SOCK_STREAM, 0);
	must(connect(here, (void *)&local, bytes) == 0);
	there = accept(listener, NULL, NULL);
	say_target("unix socket spanwise-cart [0-9]+");
}

static void turn_around(void)
{
	int other = here;

	here = there;
	there = other;
}

static void before_abstract_accepted(void)
{
	before_abstract();
	turn_around();
}

static void before_pair_of(int type)
{
	int pair[2];

	must(socketpair(AF_UNIX, type, 0, pair) == 0);
	here = pair[0];
	there = pair[1];
	say_target("unix socket [0-9]+");
}

static void before_packets(void)
{
	before_pair_of(SOCK_SEQPACKET);
}

static void before_datagrams(void)
{
	before_pair_of(SOCK_DGRAM);
}

/* One that has no name of its own, and got one from the kernel. */
static void before_named_by_kernel(void)
{
	sa_family_t family = AF_UNIX;
	socklen_t bytes = sizeof(local);

	here = socket(AF_UNIX, SOCK_DGRAM, 0);
	there = socket(AF_UNIX, SOCK_DGRAM, 0);
	must(bind(here, (void *)&family, sizeof(family)) == 0);
	must(getsockname(here, (void *)&local, &bytes) == 0);
	must(connect(there, (void *)&local, bytes) == 0);
	say_target("unix socket %.5s [0-9]+", local.sun_path + 1);
}

static void bind_datagrams_local(void)
{
	socklen_t bytes = name_local("log.sock", false);

	there = socket(AF_UNIX, SOCK_DGRAM, 0);
	must(bind(there, (void *)&local, bytes) == 0);
	here = socket(AF_UNIX, SOCK_DGRAM, 0);
	set_timeout(here);
	while (sendto(here, block, 1, MSG_DONTWAIT, (void *)&local, bytes) == 1)
		;
	say_target("unix socket log.sock [0-9]+");
	say_waker("timer", 0);
}

/* Whoever takes the datagrams has too many. */
static void wait_sendto(void)
{
	must(sendto(here, block, 1, 0, (void *)&local, sizeof(local)) < 0);
}

static void wait_sendmsg(void)
{
	struct iovec part = { block, 1 };
	struct msghdr message = {
		.msg_name = &local, .msg_namelen = sizeof(local), .msg_iov = &part, .msg_iovlen = 1
	};

	must(sendmsg(here, &message, 0) < 0);
}

static void before_local_full(void)
{
	before_abstract();
	while (send(here, block, BLOCK, MSG_DONTWAIT) > 0)
		;
}

static void wait_send(void)
{
	must(send(here, block, BLOCK, 0) > 0);
}

static void drain_there(void)
{
	say_waker("thread", own_tid());
	while (recv(there, block, BLOCK, MSG_DONTWAIT) > 0)
		;
}

const struct step peer_steps[] = {
	{ "tcp6", "net", before_tcp6, receive, send_network, close_all },
	{ "tcp6-accept", "net", before_accept6, wait_accept6, end_accept6, close_all },
	{ "tcp-mapped-accepted", "net", before_mapped, wait_readv, send_network, close_all },
	{ "multipath", "net", before_multipath, receive, send_network, close_all },
	{ "tcp6-select", "net", before_tcp6, wait_select, send_network, close_all },
	{ "epoll-one", "poll", before_tcp6, wait_epoll_one, send_network, close_all },
	{ "linger", "net", before_linger, wait_linger, end_linger, close_all },
	{ "udp-connected", "net", before_udp_connected, receive, send_network, close_all },
	{ "udp6", "net", before_udp6, wait_recvfrom, send_network, close_all },
	{ "udp6-connected", "net", before_udp6_connected, receive, send_network, close_all },
	{ "udp-nobody", "net", before_nobody, wait_in_vain, NULL, close_all },
	{ "raw", "net", before_raw, wait_in_vain, NULL, close_all },
	{ "raw-connected", "net", before_raw_connected, wait_in_vain, NULL, close_all },
	{ "abstract", "net", before_abstract, receive, send_thread, close_all },
	{ "abstract-accepted", "net", before_abstract_accepted, receive, send_thread, close_all },
	{ "packets", "net", before_packets, receive, send_thread, close_all },
	{ "datagrams", "net", before_datagrams, receive, send_thread, close_all },
	{ "named-by-kernel", "net", before_named_by_kernel, receive, send_thread, close_all },
	{ "datagram-full", "net", bind_datagrams_local, wait_sendto, NULL, close_all },
	{ "datagram-full-sendmsg", "net", bind_datagrams_local, wait_sendmsg, NULL, close_all },
	{ "local-full", "net", before_local_full, wait_send, drain_there, close_all },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
