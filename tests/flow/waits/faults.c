/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of files that are touched, and have to be read first: by the program itself, or by a call
 * that it was to read from, or write to. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/flow/waits/waits.h"

#define PAGES 64
#define STEP  8 /* pages from one touch to the next */

static int file = -1, sink = -1, ends[2], pair[2];
static char *mapped;
static char into[PAGE];

static void before_cold(int protection, int flags)
{
	file = open_file("catalog.db");
	make_cold(file);
	mapped = mmap(NULL, PAGES * PAGE, protection, flags, file, 0);
	must(mapped != MAP_FAILED && madvise(mapped, PAGES * PAGE, MADV_RANDOM) == 0);
	say_target("file catalog.db [0-9]+ on [0-9:]+");
}

static void after_cold(void)
{
	munmap(mapped, PAGES * PAGE);
	close(file);
}

static void before_private(void)
{
	before_cold(PROT_READ, MAP_PRIVATE);
}

static void before_shared(void)
{
	before_cold(PROT_READ | PROT_WRITE, MAP_SHARED);
}

static void before_copied(void)
{
	before_cold(PROT_READ | PROT_WRITE, MAP_PRIVATE);
}

static void wait_read(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		into[0] ^= ((volatile char *)mapped)[i * PAGE];
}

static void wait_write(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		((volatile char *)mapped)[i * PAGE + 7] = 1;
}

/* ---- in a call that is about something else */

static void before_pipe(void)
{
	before_private();
	say_target("%s", "");
	must(pipe(ends) == 0);
}

static void wait_pipe(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		must(write(ends[1], mapped + i * PAGE, 16) == 16);
}

static void after_pipe(void)
{
	close(ends[0]);
	close(ends[1]);
	after_cold();
}

static void before_socket(void)
{
	before_private();
	say_target("%s", "");
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
}

static void wait_socket(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		must(send(pair[1], mapped + i * PAGE, 16, 0) == 16);
}

static void after_socket(void)
{
	close(pair[0]);
	close(pair[1]);
	after_cold();
}

static void before_file(void)
{
	before_shared();
	sink = open_file("sink.db");
}

/* What it writes to needs no disk. */
static void wait_file(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		must(pwrite(sink, mapped + i * PAGE, 16, 0) == 16);
}

static void wait_read_file(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		must(pread(sink, mapped + i * PAGE, 16, 0) == 16);
}

static void wait_readv_file(void)
{
	for (int i = 0; i < PAGES; i += STEP) {
		struct iovec parts[] = { { into, 8 }, { mapped + i * PAGE, 8 } };

		must(preadv(sink, parts, 2, 0) == 16);
	}
}

static void before_zeros(void)
{
	before_shared();
	sink = open("/dev/zero", O_RDONLY);
	must(sink >= 0);
}

static void wait_zeros(void)
{
	for (int i = 0; i < PAGES; i += STEP)
		must(read(sink, mapped + i * PAGE, 16) == 16);
}

static void after_file(void)
{
	close(sink);
	after_cold();
}

/* ---- in a call that is to bring them in */

static void wait_lock(void)
{
	must(mlock(mapped, PAGES * PAGE) == 0);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static void before_advised(void)
{
	before_private();
	if (madvise(mapped, 0, MADV_POPULATE_READ) != 0)
		say_missing("MADV_POPULATE_READ");
}

static void wait_advised(void)
{
	must(madvise(mapped, PAGES * PAGE, MADV_POPULATE_READ) == 0);
}

static void before_mapping(void)
{
	before_private();
	munmap(mapped, PAGES * PAGE);
	make_cold(file);
}

static void wait_mapping(void)
{
	mapped = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
	must(mapped != MAP_FAILED);
}

/* ---- calls that are about the file, and name it */

static void before_plain(void)
{
	file = open_file("catalog.db");
	make_cold(file);
	say_target("file catalog.db [0-9]+ on [0-9:]+");
}

static void after_plain(void)
{
	close(file);
}

static void wait_splice(void)
{
	must(pipe(ends) == 0);
	for (off_t at = 0; at < PAGES * PAGE; at += STEP * PAGE) {
		loff_t from = at;

		must(splice(file, &from, ends[1], NULL, 16, 0) == 16);
	}
	close(ends[0]);
	close(ends[1]);
}

static void wait_synced_write(void)
{
	struct iovec part = { into, 16 };

	for (int i = 0; i < 4; i++)
		must(pwritev2(file, &part, 1, i * PAGE, RWF_DSYNC) == 16);
}

static void wait_sync_file_system(void)
{
	must(write(file, "x", 1) == 1);
	syncfs(file);
}

static int folder;

static void before_folder(void)
{
	mkdir("invoices", 0700);
	folder = open("invoices", O_RDONLY | O_DIRECTORY);
	must(folder >= 0);
	say_target("file invoices [0-9]+ on [0-9:]+");
}

static void wait_folder(void)
{
	for (int i = 0; i < 4; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%d.pdf", i);
		close(openat(folder, name, O_CREAT | O_WRONLY, 0600));
		fsync(folder);
	}
}

static void after_folder(void)
{
	close(folder);
}

const struct step fault_steps[] = {
	{ "fault-private", "fault", before_private, wait_read, NULL, after_cold },
	{ "fault-shared", "fault", before_shared, wait_read, NULL, after_cold },
	{ "fault-write", "fault", before_shared, wait_write, NULL, after_cold },
	{ "fault-copied", "fault", before_copied, wait_write, NULL, after_cold },
	{ "fault-in-write-pipe", "fault", before_pipe, wait_pipe, NULL, after_pipe },
	{ "fault-in-send", "fault", before_socket, wait_socket, NULL, after_socket },
	{ "fault-in-write-file", "fault", before_file, wait_file, NULL, after_file },
	{ "fault-in-read-file", "fault", before_file, wait_read_file, NULL, after_file },
	{ "fault-in-readv-file", "fault", before_file, wait_readv_file, NULL, after_file },
	{ "fault-in-read-device", "fault", before_zeros, wait_zeros, NULL, after_file },
	{ "mlock", "fault", before_private, wait_lock, NULL, after_cold },
	{ "madvise-populate", "fault", before_advised, wait_advised, NULL, after_cold },
	{ "mmap-populate", "fault", before_mapping, wait_mapping, NULL, after_cold },
	{ "splice-file", "disk", before_plain, wait_splice, NULL, after_plain },
	{ "pwritev2-dsync", "disk", before_plain, wait_synced_write, NULL, after_plain },
	{ "syncfs", "disk", before_plain, wait_sync_file_system, NULL, after_plain },
	{ "fsync-folder", "disk", before_folder, wait_folder, NULL, after_folder },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
