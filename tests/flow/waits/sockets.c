/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever waits at a socket for somebody to send, take, or come. */
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

#define BLOCK 65536

static char block[BLOCK];

int tcp[2] = { -1 };
static int listener, udp, pair[2], local_listener, other;
static struct sockaddr_in address;

static int own_port(int fd)
{
	struct sockaddr_in own;
	socklen_t bytes = sizeof(own);

	getsockname(fd, (void *)&own, &bytes);
	return ntohs(own.sin_port);
}

void open_tcp(void)
{
	socklen_t bytes = sizeof(address);

	if (tcp[0] >= 0)
		return;
	address = (struct sockaddr_in){ .sin_family = AF_INET };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	must(bind(listener, (void *)&address, bytes) == 0 && listen(listener, 4) == 0);
	getsockname(listener, (void *)&address, &bytes);
	tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(connect(tcp[0], (void *)&address, bytes) == 0);
	tcp[1] = accept(listener, NULL, NULL);
}

void before_tcp(void)
{
	open_tcp();
	say_target("127.0.0.1:%d", own_port(listener));
}

static void wait_tcp(void)
{
	must(recv(tcp[0], block, 1, MSG_WAITALL) == 1);
}

static void end_tcp(void)
{
	say_waker("network", own_tid());
	must(send(tcp[1], block, 1, 0) == 1);
}

static void wait_tcp_timeout(void)
{
	struct timeval time = { .tv_usec = WAIT_MS * 1000 };

	say_waker("timer", 0);
	setsockopt(tcp[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	recv(tcp[0], block, 1, 0);
	time.tv_usec = 0;
	setsockopt(tcp[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
}

static void wait_select_one(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(tcp[0], &set);
	must(select(tcp[0] + 1, &set, NULL, NULL, NULL) == 1);
	wait_tcp();
}

/* In two sets, it is still one. */
static void wait_pselect_one(void)
{
	fd_set set, except;

	FD_ZERO(&set);
	FD_SET(tcp[0], &set);
	except = set;
	must(pselect(tcp[0] + 1, &set, NULL, &except, NULL, NULL) == 1);
	wait_tcp();
}

static void wait_ppoll_one(void)
{
	struct pollfd one = { .fd = tcp[0], .events = POLLIN };

	must(ppoll(&one, 1, NULL, NULL) == 1);
	wait_tcp();
}

static void before_accept(void)
{
	open_tcp();
	say_target("own port %d", own_port(listener));
}

static void wait_accept(void)
{
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

static void end_accept(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	say_waker("network", own_tid());
	must(connect(fd, (void *)&address, sizeof(address)) == 0);
	close(fd);
}

/* A listener whose queue is full answers nobody. */
static int crowd[64], full;
static struct sockaddr_in full_address;

static void before_connect(void)
{
	struct timeval time = { .tv_usec = WAIT_MS * 1000 };
	socklen_t bytes = sizeof(full_address);

	full_address = (struct sockaddr_in){ .sin_family = AF_INET };
	full_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	full = socket(AF_INET, SOCK_STREAM, 0);
	must(bind(full, (void *)&full_address, bytes) == 0 && listen(full, 0) == 0);
	getsockname(full, (void *)&full_address, &bytes);
	for (int i = 0; i < 4; i++) {
		crowd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(crowd[i], (void *)&full_address, bytes);
	}
	other = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(other, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
	say_target("127.0.0.1:%d", own_port(full));
	say_waker("timer", 0);
}

static void wait_connect(void)
{
	must(connect(other, (void *)&full_address, sizeof(full_address)) < 0);
}

static void after_connect(void)
{
	for (int i = 0; i < 4; i++)
		close(crowd[i]);
	close(other);
	close(full);
}

static void before_send(void)
{
	before_tcp();
	while (send(tcp[0], block, BLOCK, MSG_DONTWAIT) > 0)
		;
}

static void wait_send(void)
{
	must(send(tcp[0], block, BLOCK, 0) > 0);
}

void drain_tcp(void)
{
	while (recv(tcp[1], block, BLOCK, MSG_DONTWAIT) > 0)
		;
}

static int source = -1;

static void before_sendfile(void)
{
	if (source < 0)
		source = open_file("source.bin");
	before_send();
}

static void wait_sendfile(void)
{
	off_t from = 0;

	must(sendfile(tcp[0], source, &from, BLOCK) > 0);
}

static void before_splice_socket(void)
{
	before_tcp();
	drain_tcp();
}

static void wait_splice_socket(void)
{
	int ends[2];

	must(pipe(ends) == 0);
	must(splice(tcp[0], NULL, ends[1], NULL, BLOCK, 0) == 1);
	close(ends[0]);
	close(ends[1]);
}

static void before_udp(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	must(bind(udp, (void *)&any, sizeof(any)) == 0);
	say_target("own port %d", own_port(udp));
}

static void wait_recvmmsg(void)
{
	struct iovec part = { block, 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };

	must(recvmmsg(udp, &message, 1, 0, NULL) == 1);
}

static void end_udp(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(own_port(udp)) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	say_waker("network", own_tid());
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(sendto(fd, block, 1, 0, (void *)&to, sizeof(to)) == 1);
	close(fd);
}

static void after_udp(void)
{
	close(udp);
}

/* ---- unix sockets */

static struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "shop.sock" };

static void before_local(void)
{
	unlink(local.sun_path);
	local_listener = socket(AF_UNIX, SOCK_STREAM, 0);
	must(bind(local_listener, (void *)&local, sizeof(local)) == 0);
	must(listen(local_listener, 0) == 0);
	say_target("unix socket shop.sock [0-9]+");
}

static void wait_local_accept(void)
{
	close(accept(local_listener, NULL, NULL));
}

static void end_local_accept(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	say_waker("thread", own_tid());
	must(connect(fd, (void *)&local, sizeof(local)) == 0);
	close(fd);
}

static void after_local(void)
{
	close(local_listener);
}

static void before_local_connect(void)
{
	before_local();
	for (int i = 0; i < 64; i++) {
		crowd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(crowd[i], (void *)&local, sizeof(local)) < 0)
			break;
	}
	other = socket(AF_UNIX, SOCK_STREAM, 0);
}

static void wait_local_connect(void)
{
	must(connect(other, (void *)&local, sizeof(local)) == 0);
}

static void end_local_connect(void)
{
	say_waker("thread", own_tid());
	close(accept(local_listener, NULL, NULL));
}

/* A descriptor is passed along. */
static void before_pair(void)
{
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	say_target("unix socket [0-9]+");
}

static char ancillary[CMSG_SPACE(sizeof(int))];

static struct msghdr with_descriptor(struct iovec *part)
{
	return (struct msghdr){ .msg_iov = part,
				.msg_iovlen = 1,
				.msg_control = ancillary,
				.msg_controllen = sizeof(ancillary) };
}

static void wait_pair(void)
{
	struct iovec part = { block, 1 };
	struct msghdr message = with_descriptor(&part);

	must(recvmsg(pair[0], &message, 0) == 1);
}

static void end_pair(void)
{
	struct iovec part = { block, 1 };
	struct msghdr message = with_descriptor(&part);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	say_waker("thread", own_tid());
	*head = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	must(sendmsg(pair[1], &message, 0) == 1);
}

/* ---- other families */

static void open_other(int family, int type, int protocol, const char *target)
{
	struct timeval time = { .tv_usec = WAIT_MS * 1000 };

	other = socket(family, type, protocol);
	if (other < 0) {
		say_missing("no such socket");
		return;
	}
	setsockopt(other, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
	say_target("%s", target);
	say_waker("timer", 0);
}

static void before_netlink(void)
{
	open_other(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, "netlink socket");
}

static void before_packet(void)
{
	open_other(AF_PACKET, SOCK_RAW, htons(ETH_P_LOOP), "packet socket");
}

static void wait_other(void)
{
	recv(other, block, 1, 0);
}

static void before_vsock(void)
{
	struct sockaddr_vm any = { .svm_family = AF_VSOCK,
				   .svm_port = VMADDR_PORT_ANY,
				   .svm_cid = VMADDR_CID_ANY };

	open_other(AF_VSOCK, SOCK_STREAM, 0, "vsock socket");
	if (other >= 0 && (bind(other, (void *)&any, sizeof(any)) < 0 || listen(other, 1) < 0))
		say_missing("no vsock transport");
	if (other >= 0) {
		struct timeval time = { .tv_usec = WAIT_MS * 1000 };

		setsockopt(other, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD, &time, sizeof(time));
	}
}

static void wait_vsock(void)
{
	accept(other, NULL, NULL);
}

static void after_other(void)
{
	close(other);
}

const struct step socket_steps[] = {
	{ "tcp-waitall", "net", before_tcp, wait_tcp, end_tcp, NULL },
	{ "tcp-timeout", "net", before_tcp, wait_tcp_timeout, NULL, NULL },
	{ "select-one", "net", before_tcp, wait_select_one, end_tcp, NULL },
	{ "pselect-one", "net", before_tcp, wait_pselect_one, end_tcp, NULL },
	{ "ppoll-one", "net", before_tcp, wait_ppoll_one, end_tcp, NULL },
	{ "accept4", "net", before_accept, wait_accept, end_accept, NULL },
	{ "connect-full", "net", before_connect, wait_connect, NULL, after_connect },
	{ "send-full", "net", before_send, wait_send, drain_tcp, drain_tcp },
	{ "sendfile-full", "net", before_sendfile, wait_sendfile, drain_tcp, drain_tcp },
	{ "splice-socket", "net", before_splice_socket, wait_splice_socket, end_tcp, NULL },
	{ "recvmmsg", "net", before_udp, wait_recvmmsg, end_udp, after_udp },
	{ "unix-accept", "net", before_local, wait_local_accept, end_local_accept, after_local },
	{ "unix-connect", "net", before_local_connect, wait_local_connect, end_local_connect,
	  after_local },
	{ "scm", "net", before_pair, wait_pair, end_pair, NULL },
	{ "netlink", "net", before_netlink, wait_other, NULL, after_other },
	{ "packet", "net", before_packet, wait_other, NULL, after_other },
	{ "vsock", "net", before_vsock, wait_vsock, NULL, after_other },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
