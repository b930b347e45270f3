/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever waits for somebody to send or take something: sockets, pipes, queues, and polls of them.
 */
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

#define BLOCK 65536

static char block[BLOCK];
static const struct timespec a_while = { .tv_nsec = WAIT_MS * 1000000 };

static unsigned long inode_of(int fd)
{
	struct stat status;

	must(fstat(fd, &status) == 0);
	return status.st_ino;
}

/* ---- sockets */

static int tcp[2] = { -1 }, listener, udp, pair[2], local_listener, other;
static struct sockaddr_in address;

static int own_port(int fd)
{
	struct sockaddr_in own;
	socklen_t bytes = sizeof(own);

	getsockname(fd, (void *)&own, &bytes);
	return ntohs(own.sin_port);
}

static void open_tcp(void)
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

static void before_tcp(void)
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

static void drain_tcp(void)
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

static int ends[2], more[2];

static void wait_splice_socket(void)
{
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

/* ---- pipes */

static void before_pipe(void)
{
	must(pipe(ends) == 0);
	say_target("pipe %lu", inode_of(ends[0]));
}

static void fill(int fd)
{
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (write(fd, block, PAGE) > 0)
		;
	fcntl(fd, F_SETFL, 0);
}

static void before_full_pipe(void)
{
	before_pipe();
	fill(ends[1]);
}

static void wait_pipe(void)
{
	must(read(ends[0], block, 1) == 1);
}

static void end_pipe(void)
{
	say_waker("thread", own_tid());
	must(write(ends[1], block, 1) == 1);
}

static void end_full_pipe(void)
{
	say_waker("thread", own_tid());
	must(read(ends[0], block, PAGE) > 0);
}

static void wait_vmsplice(void)
{
	struct iovec part = { block, 1 };

	must(vmsplice(ends[1], &part, 1, 0) == 1);
}

static void wait_tee(void)
{
	must(pipe(more) == 0);
	must(tee(ends[0], more[1], 1, 0) == 1);
	close(more[0]);
	close(more[1]);
}

/* To a socket with room, from a pipe without a byte. */
static void wait_splice_pipe(void)
{
	must(splice(ends[0], NULL, tcp[0], NULL, 1, 0) == 1);
}

static void before_splice_pipe(void)
{
	before_tcp();
	drain_tcp();
	before_pipe();
}

static void after_pipe(void)
{
	close(ends[0]);
	close(ends[1]);
}

static void before_fifo(void)
{
	unlink("orders.fifo");
	must(mkfifo("orders.fifo", 0600) == 0);
}

static void wait_fifo(void)
{
	other = open("orders.fifo", O_RDONLY);
}

static void end_fifo(void)
{
	say_waker("thread", own_tid());
	close(open("orders.fifo", O_WRONLY));
}

/* ---- terminals */

static int terminal = -1, keyboard;

static void before_terminal(void)
{
	if (terminal < 0) {
		keyboard = posix_openpt(O_RDWR | O_NOCTTY);
		must(keyboard >= 0 && grantpt(keyboard) == 0 && unlockpt(keyboard) == 0);
		terminal = open(ptsname(keyboard), O_RDWR | O_NOCTTY);
		must(terminal >= 0);
	}
	say_target("device .*");
}

static void wait_terminal(void)
{
	must(read(terminal, block, PAGE) == 2);
}

static void end_terminal(void)
{
	must(write(keyboard, "y\n", 2) == 2);
}

/* ---- queues */

static mqd_t queue;
static int messages;
static struct {
	long type;
	char text[8000];
} letter = { .type = 1 };

static void before_queue(void)
{
	struct mq_attr limits = { .mq_maxmsg = 1, .mq_msgsize = 8 };

	mq_unlink("/spanwise-jobs");
	queue = mq_open("/spanwise-jobs", O_CREAT | O_RDWR, 0600, &limits);
	if (queue < 0)
		say_missing("no POSIX message queues");
	say_target("queue spanwise-jobs");
}

static void wait_queue(void)
{
	mq_receive(queue, block, BLOCK, NULL);
}

static void end_queue(void)
{
	say_waker("thread", own_tid());
	mq_send(queue, "x", 1, 0);
}

static void before_full_queue(void)
{
	before_queue();
	mq_send(queue, "x", 1, 0);
	say_waker("timer", 0);
}

static void wait_full_queue(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += WAIT_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	must(mq_timedsend(queue, "y", 1, 0, &until) < 0);
}

static void after_queue(void)
{
	mq_close(queue);
	mq_unlink("/spanwise-jobs");
}

static void before_messages(void)
{
	messages = msgget(IPC_PRIVATE, 0600);
	must(messages >= 0);
	say_target("queue %d", messages);
}

static void wait_messages(void)
{
	must(msgrcv(messages, &letter, sizeof(letter.text), 0, 0) > 0);
}

static void end_messages(void)
{
	say_waker("thread", own_tid());
	must(msgsnd(messages, &letter, 8, 0) == 0);
}

static void before_full_messages(void)
{
	before_messages();
	while (msgsnd(messages, &letter, sizeof(letter.text), IPC_NOWAIT) == 0)
		;
}

static void wait_full_messages(void)
{
	must(msgsnd(messages, &letter, sizeof(letter.text), 0) == 0);
}

static void end_full_messages(void)
{
	static char into[sizeof(letter)];

	say_waker("thread", own_tid());
	must(msgrcv(messages, into, sizeof(letter.text), 0, 0) > 0);
}

static void after_messages(void)
{
	msgctl(messages, IPC_RMID, NULL);
}

/* ---- polls */

static int counter = -1, poller = -1;

static void before_poll(void)
{
	struct epoll_event interest = { .events = EPOLLIN };

	open_tcp();
	if (counter >= 0)
		return;
	counter = eventfd(0, 0);
	poller = epoll_create1(0);
	must(epoll_ctl(poller, EPOLL_CTL_ADD, counter, &interest) == 0);
	must(epoll_ctl(poller, EPOLL_CTL_ADD, tcp[0], &interest) == 0);
}

static void wait_epoll(void)
{
	struct epoll_event event;

	say_waker("timer", 0);
	epoll_pwait(poller, &event, 1, WAIT_MS, NULL);
}

static void wait_epoll2(void)
{
	struct epoll_event event;

	say_waker("timer", 0);
	syscall(SYS_epoll_pwait2, poller, &event, 1, &a_while, NULL, 0);
}

static void wait_poll_two(void)
{
	struct pollfd two[2] = { { tcp[0], POLLIN, 0 }, { counter, POLLIN, 0 } };

	ppoll(two, 2, &a_while, NULL);
}

static void wait_select_two(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(tcp[0], &set);
	FD_SET(counter, &set);
	pselect((tcp[0] > counter ? tcp[0] : counter) + 1, &set, NULL, NULL, &a_while, NULL);
}

/* One that waits for others in turn. */
static void wait_poll_poller(void)
{
	struct pollfd one = { poller, POLLIN, 0 };

	say_target("eventpoll");
	ppoll(&one, 1, &a_while, NULL);
}

static void wait_poll_counter(void)
{
	struct pollfd one = { counter, POLLIN, 0 };

	say_target("eventfd");
	ppoll(&one, 1, &a_while, NULL);
}

/* A regular file is always ready; one of /proc may not be. */
static void wait_poll_mounts(void)
{
	int fd = open("/proc/self/mounts", O_RDONLY);
	struct pollfd one = { fd, POLLPRI, 0 };

	ppoll(&one, 1, &a_while, NULL);
	close(fd);
}

static void wait_counter(void)
{
	eventfd_t value;

	say_target("eventfd");
	eventfd_read(counter, &value);
}

static void end_counter(void)
{
	say_waker("thread", own_tid());
	eventfd_write(counter, 1);
}

static int watcher;

static void before_watcher(void)
{
	watcher = inotify_init1(0);
	must(inotify_add_watch(watcher, ".", IN_CREATE) >= 0);
	say_target("inotify");
}

static void wait_watcher(void)
{
	must(read(watcher, block, PAGE) > 0);
}

static void end_watcher(void)
{
	say_waker("thread", own_tid());
	close(open("news.txt", O_CREAT | O_WRONLY, 0600));
}

static void after_watcher(void)
{
	close(watcher);
	unlink("news.txt");
}

/* ---- sleeps */

static void wait_sleep_until(void)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += WAIT_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	say_waker("timer", 0);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void wait_nanosleep(void)
{
	say_waker("timer", 0);
	syscall(SYS_nanosleep, &a_while, NULL);
}

/* Sets are passed, but nobody is in them. */
static void wait_select_empty(void)
{
	fd_set set;

	FD_ZERO(&set);
	say_waker("timer", 0);
	pselect(64, &set, NULL, NULL, &a_while, NULL);
}

static void wait_timer(void)
{
	const struct itimerspec once = { .it_value = a_while };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t count;

	say_target("timerfd");
	say_waker("timer", 0);
	must(timerfd_settime(fd, 0, &once, NULL) == 0);
	must(read(fd, &count, sizeof(count)) == sizeof(count));
	close(fd);
}

const struct step message_steps[] = {
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
	{ "pipe", "pipe", before_pipe, wait_pipe, end_pipe, after_pipe },
	{ "vmsplice", "pipe", before_full_pipe, wait_vmsplice, end_full_pipe, after_pipe },
	{ "tee", "pipe", before_pipe, wait_tee, end_pipe, after_pipe },
	{ "splice-pipe", "pipe", before_splice_pipe, wait_splice_pipe, end_pipe, after_pipe },
	{ "fifo-open", "pipe", before_fifo, wait_fifo, end_fifo, after_other },
	{ "terminal", "pipe", before_terminal, wait_terminal, end_terminal, NULL },
	{ "mq_receive", "pipe", before_queue, wait_queue, end_queue, after_queue },
	{ "mq_timedsend", "pipe", before_full_queue, wait_full_queue, NULL, after_queue },
	{ "msgrcv", "pipe", before_messages, wait_messages, end_messages, after_messages },
	{ "msgsnd", "pipe", before_full_messages, wait_full_messages, end_full_messages,
	  after_messages },
	{ "epoll_pwait", "poll", before_poll, wait_epoll, NULL, NULL },
	{ "epoll_pwait2", "poll", before_poll, wait_epoll2, NULL, NULL },
	{ "ppoll-two", "poll", before_poll, wait_poll_two, NULL, NULL },
	{ "pselect-two", "poll", before_poll, wait_select_two, NULL, NULL },
	{ "ppoll-poller", "poll", before_poll, wait_poll_poller, NULL, NULL },
	{ "ppoll-counter", "poll", before_poll, wait_poll_counter, NULL, NULL },
	{ "ppoll-proc", "poll", NULL, wait_poll_mounts, NULL, NULL },
	{ "eventfd", "other", before_poll, wait_counter, end_counter, NULL },
	{ "inotify", "other", before_watcher, wait_watcher, end_watcher, after_watcher },
	{ "sleep-until", "sleep", NULL, wait_sleep_until, NULL, NULL },
	{ "nanosleep", "sleep", NULL, wait_nanosleep, NULL, NULL },
	{ "select-empty", "sleep", NULL, wait_select_empty, NULL, NULL },
	{ "timerfd", "sleep", NULL, wait_timer, NULL, NULL },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
