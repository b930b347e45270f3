/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in a folder and is no file of a disk's: FIFOs, devices, queues; what a path tells of
 * a call; and polls that leave something out. */
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/if_tun.h>
#include <mqueue.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/flow/waits/fuse.h"
#include "tests/flow/waits/waits.h"

static char block[PAGE];
/* What is waited for, and where that is ended. */
static int here = -1, there = -1;

static void close_both(void)
{
	close(here);
	close(there);
}

static unsigned long inode_of(int fd)
{
	struct stat status;

	must(fstat(fd, &status) == 0);
	return status.st_ino;
}

static void wait_read(void)
{
	must(read(here, block, sizeof(block)) > 0);
}

static void wait_poll(void)
{
	struct pollfd one = { here, POLLIN, 0 };

	must(poll(&one, 1, -1) == 1);
}

static void end_write(void)
{
	say_waker("thread", own_tid());
	must(write(there, "x", 1) == 1);
}

static void before_fifo(void)
{
	unlink("bills.fifo");
	must(mkfifo("bills.fifo", 0600) == 0);
	here = open("bills.fifo", O_RDONLY | O_NONBLOCK);
	there = open("bills.fifo", O_WRONLY);
	must(here >= 0 && there >= 0 && fcntl(here, F_SETFL, 0) == 0);
	say_target("pipe bills.fifo %lu", inode_of(here));
}

/* ---- devices */

static void open_terminal(void)
{
	there = posix_openpt(O_RDWR | O_NOCTTY);
	must(there >= 0 && grantpt(there) == 0 && unlockpt(there) == 0);
	here = open(ptsname(there), O_RDWR | O_NOCTTY);
	must(here >= 0);
}

static void before_terminal(void)
{
	open_terminal();
	say_target("device %s", ptsname(there) + strlen("/dev/"));
}

static void before_keyboard(void)
{
	int terminal;

	open_terminal();
	terminal = here;
	here = there;
	there = terminal;
	say_target("device ptmx [0-9]+:[0-9]+");
}

/* Its waker is the kernel's own thread that passes it on. */
static void end_type(void)
{
	must(write(there, "y\n", 2) == 2);
}

static pthread_t player;

static void do_nothing(int number)
{
	(void)number;
}

/* Nobody will write to it: a signal ends the wait. */
static void before_device(const char *path)
{
	struct sigaction action = { .sa_handler = do_nothing };

	must(sigaction(SIGUSR2, &action, NULL) == 0);
	player = pthread_self();
	here = open(path, O_RDWR);
	if (here < 0)
		say_missing(path);
}

static void before_log(void)
{
	before_device("/dev/kmsg");
	if (here >= 0)
		lseek(here, 0, SEEK_END);
	say_target("device kmsg 1:11");
}

static void before_tunnel(void)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	before_device("/dev/net/tun");
	if (here >= 0 && ioctl(here, TUNSETIFF, &request) < 0)
		say_missing("no tunnels");
	say_target("device tun 10:200");
}

static void wait_device(void)
{
	while (read(here, block, sizeof(block)) > 0)
		;
}

static void end_signal(void)
{
	say_waker("thread", own_tid());
	pthread_kill(player, SIGUSR2);
}

static void close_here(void)
{
	close(here);
}

/* ---- queues */

static mqd_t queue;

static void before_queue(void)
{
	struct mq_attr limits = { .mq_maxmsg = 1, .mq_msgsize = 8 };

	mq_unlink("/spanwise-mail");
	queue = mq_open("/spanwise-mail", O_CREAT | O_RDWR, 0600, &limits);
	if (queue < 0)
		say_missing("no POSIX message queues");
	here = (int)queue;
	say_target("queue spanwise-mail");
}

static void before_full_queue(void)
{
	before_queue();
	mq_send(queue, "x", 1, 0);
}

static void wait_full_queue(void)
{
	must(mq_send(queue, "y", 1, 0) == 0);
}

static void end_full_queue(void)
{
	say_waker("thread", own_tid());
	must(mq_receive(queue, block, sizeof(block), NULL) == 1);
}

static void end_queue(void)
{
	say_waker("thread", own_tid());
	must(mq_send(queue, "x", 1, 0) == 0);
}

static void after_queue(void)
{
	mq_close(queue);
	mq_unlink("/spanwise-mail");
}

/* ---- a negative number is nobody */

static void before_pipe(void)
{
	int ends[2];

	must(pipe(ends) == 0);
	here = ends[0];
	there = ends[1];
	say_target("pipe %lu", inode_of(here));
}

static void wait_one_of_two(void)
{
	struct pollfd two[2] = { { -1, POLLIN, 0 }, { here, POLLIN, 0 } };

	must(poll(two, 2, -1) == 1);
}

static void wait_none_of_two(void)
{
	struct pollfd two[2] = { { -1, POLLIN, 0 }, { -1, POLLIN, 0 } };

	say_waker("timer", 0);
	must(poll(two, 2, WAIT_MS) == 0);
}

static void wait_none_of_one(void)
{
	struct pollfd one = { -1, POLLIN, 0 };

	say_waker("timer", 0);
	must(poll(&one, 1, WAIT_MS) == 0);
}

/* ---- a slow file system */

static void mount_slow(uint32_t request)
{
	if (!fuse_mount("slow", request))
		say_missing("no fuse");
	say_waker("thread", child);
}

static void before_change(void)
{
	mount_slow(FUSE_SETATTR);
	say_target("file slow/slow.txt");
}

static void wait_change(void)
{
	if (lchown("slow/slow.txt", 1, 1) < 0)
		return; /* it does not do it, but was asked */
}

static void after_slow(void)
{
	umount2("slow", MNT_DETACH);
	reap_child();
}

static void before_page(void)
{
	mount_slow(FUSE_READ);
	here = open("slow/slow.txt", O_RDONLY);
	say_target("file slow.txt [0-9]+ on [0-9:]+");
}

/* It can be interrupted, and is a fault all the same. */
static void wait_page(void)
{
	char *mapped = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, here, 0);

	must(mapped != MAP_FAILED);
	block[0] = *(volatile char *)mapped;
	munmap(mapped, PAGE);
}

static void after_page(void)
{
	close(here);
	after_slow();
}

const struct step named_steps[] = {
	{ "fifo", "pipe", before_fifo, wait_read, end_write, close_both },
	{ "poll-fifo", "pipe", before_fifo, wait_poll, end_write, close_both },
	{ "terminal-named", "pipe", before_terminal, wait_read, end_type, close_both },
	{ "keyboard", "pipe", before_keyboard, wait_read, end_type, close_both },
	{ "log", "other", before_log, wait_device, end_signal, close_here },
	{ "tunnel", "net", before_tunnel, wait_device, end_signal, close_here },
	{ "mq_send", "pipe", before_full_queue, wait_full_queue, end_full_queue, after_queue },
	{ "poll-queue", "pipe", before_queue, wait_poll, end_queue, after_queue },
	{ "poll-one-of-two", "pipe", before_pipe, wait_one_of_two, end_write, close_both },
	{ "poll-none-of-two", "sleep", NULL, wait_none_of_two, NULL, NULL },
	{ "poll-none-of-one", "sleep", NULL, wait_none_of_one, NULL, NULL },
	{ "fuse-chown", "disk", before_change, wait_change, NULL, after_slow },
	{ "fuse-fault", "fault", before_page, wait_page, NULL, after_page },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
