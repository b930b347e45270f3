/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever waits for bytes or messages of another: pipes, terminals, queues. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tests/flow/waits/sockets.h"
#include "tests/flow/waits/waits.h"

#define BLOCK 65536

static char block[BLOCK];

static unsigned long inode_of(int fd)
{
	struct stat status;

	must(fstat(fd, &status) == 0);
	return status.st_ino;
}

/* ---- pipes */

static int ends[2], more[2], fifo;

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
	say_target("file orders.fifo");
}

static void wait_fifo(void)
{
	fifo = open("orders.fifo", O_RDONLY);
}

static void end_fifo(void)
{
	say_waker("thread", own_tid());
	close(open("orders.fifo", O_WRONLY));
}

static void wait_fifo_writer(void)
{
	fifo = open("orders.fifo", O_WRONLY);
}

static void end_fifo_writer(void)
{
	say_waker("thread", own_tid());
	close(open("orders.fifo", O_RDONLY | O_NONBLOCK));
}

static void after_fifo(void)
{
	close(fifo);
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

static atomic_bool is_written;

static void before_full_terminal(void)
{
	atomic_store(&is_written, false);
	before_terminal();
	fill(terminal);
}

static void wait_full_terminal(void)
{
	must(write(terminal, block, PAGE) > 0);
	atomic_store(&is_written, true);
}

/* Until there is room for all of it. */
static void end_full_terminal(void)
{
	static char into[BLOCK];

	fcntl(keyboard, F_SETFL, O_NONBLOCK);
	while (!atomic_load(&is_written)) {
		while (read(keyboard, into, BLOCK) > 0)
			;
		pause_ms(1);
	}
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

const struct step message_steps[] = {
	{ "pipe", "pipe", before_pipe, wait_pipe, end_pipe, after_pipe },
	{ "vmsplice", "pipe", before_full_pipe, wait_vmsplice, end_full_pipe, after_pipe },
	{ "tee", "pipe", before_pipe, wait_tee, end_pipe, after_pipe },
	{ "splice-pipe", "pipe", before_splice_pipe, wait_splice_pipe, end_pipe, after_pipe },
	{ "fifo-open", "pipe", before_fifo, wait_fifo, end_fifo, after_fifo },
	{ "fifo-open-writer", "pipe", before_fifo, wait_fifo_writer, end_fifo_writer, after_fifo },
	{ "terminal", "pipe", before_terminal, wait_terminal, end_terminal, NULL },
	{ "terminal-full", "pipe", before_full_terminal, wait_full_terminal, end_full_terminal,
	  NULL },
	{ "mq_receive", "pipe", before_queue, wait_queue, end_queue, after_queue },
	{ "mq_timedsend", "pipe", before_full_queue, wait_full_queue, NULL, after_queue },
	{ "msgrcv", "pipe", before_messages, wait_messages, end_messages, after_messages },
	{ "msgsnd", "pipe", before_full_messages, wait_full_messages, end_full_messages,
	  after_messages },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
