/* SPDX-License-Identifier: Apache-2.0 */
/* Disks, pages, and what completes them. */
#include <dirent.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fuse.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/flow/waits/fuse.h"
#include "tests/flow/waits/waits.h"

#define PAGES 64

static int file = -1, direct = -1, sink;
static char *mapped, *aligned;

static void before_file(void)
{
	if (file < 0) {
		file = open_file("ledger.db");
		direct = open("ledger.db", O_RDWR | O_DIRECT);
		sink = open("copy.db", O_RDWR | O_CREAT | O_TRUNC, 0600);
		mapped = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
		must(mapped != MAP_FAILED && madvise(mapped, PAGES * PAGE, MADV_RANDOM) == 0);
		must(posix_memalign((void **)&aligned, PAGE, PAGE) == 0);
	}
	say_target("file ledger.db [0-9]+ on [0-9:]+");
}

static void wait_fsync(void)
{
	for (int i = 0; i < 4; i++) {
		must(pwrite(file, "y", 1, i * PAGE) == 1);
		fsync(file);
	}
}

static void wait_fdatasync(void)
{
	for (int i = 0; i < 4; i++) {
		must(pwrite(file, "y", 1, i * PAGE) == 1);
		fdatasync(file);
	}
}

static void wait_sync_range(void)
{
	for (int i = 0; i < 4; i++) {
		must(pwrite(file, "y", 1, i * PAGE) == 1);
		sync_file_range(file, 0, 0,
				SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_BEFORE |
					SYNC_FILE_RANGE_WAIT_AFTER);
	}
}

static void wait_msync(void)
{
	for (int i = 0; i < 4; i++) {
		mapped[i * PAGE]++;
		msync(mapped, PAGES * PAGE, MS_SYNC);
	}
}

/* A file system in memory may have none. */
static void before_direct(void)
{
	before_file();
	if (direct < 0)
		say_missing("no O_DIRECT");
}

static void wait_direct(void)
{
	for (int i = 0; i < 16; i++)
		must(pread(direct, aligned, PAGE, i * PAGE) == PAGE);
}

static void wait_direct_write(void)
{
	for (int i = 0; i < 16; i++)
		must(pwrite(direct, aligned, PAGE, i * PAGE) == PAGE);
}

static void before_cold(void)
{
	before_file();
	must(munmap(mapped, PAGES * PAGE) == 0);
	make_cold(file);
	mapped = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	must(mapped != MAP_FAILED && madvise(mapped, PAGES * PAGE, MADV_RANDOM) == 0);
}

static void wait_read(void)
{
	struct iovec part = { aligned, 1 };

	for (int i = 0; i < PAGES; i += 4)
		must(preadv(file, &part, 1, i * PAGE) == 1);
}

static void wait_copy(void)
{
	off_t from = 0, to = 0;

	must(copy_file_range(file, &from, sink, &to, PAGES * PAGE, 0) > 0);
}

static void wait_sendfile(void)
{
	off_t from = 0;

	must(sendfile(sink, file, &from, PAGES * PAGE) > 0);
}

static void before_fault(void)
{
	before_cold();
	say_target("%s", ""); /* whose page it was is not told */
}

static void wait_fault(void)
{
	for (int i = 0; i < PAGES; i += 4)
		aligned[0] ^= ((volatile char *)mapped)[i * PAGE];
}

static aio_context_t aio;

static void before_aio(void)
{
	before_direct();
	if (syscall(SYS_io_setup, 4, &aio) < 0)
		say_missing("no aio");
	say_target("%s", "");
}

static void wait_aio(void)
{
	struct iocb order = { .aio_lio_opcode = IOCB_CMD_PREAD,
			      .aio_fildes = (uint32_t)direct,
			      .aio_buf = (uintptr_t)aligned,
			      .aio_nbytes = PAGE };
	struct iocb *orders[1] = { &order };
	struct io_event event;

	for (int i = 0; i < 16; i++) {
		order.aio_offset = i * PAGE;
		must(syscall(SYS_io_submit, aio, 1, orders) == 1);
		must(syscall(SYS_io_getevents, aio, 1, 1, &event, NULL) == 1);
	}
}

static void after_aio(void)
{
	syscall(SYS_io_destroy, aio);
}

/* ---- io_uring */

static int ring = -1;

static void before_ring(void)
{
	struct io_uring_params parameters = { 0 };

	ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
	if (ring < 0)
		say_missing("no io_uring");
}

static void wait_ring(void)
{
	struct timespec time = { .tv_nsec = WAIT_MS * 1000000 };
	struct io_uring_getevents_arg argument = { .ts = (uint64_t)(uintptr_t)&time };

	say_waker("timer", 0);
	syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
		&argument, sizeof(argument));
}

static void after_ring(void)
{
	close(ring);
}

/* ---- pages that another thread provides */

static int faults;
static char *provided;

static void before_provided(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) < 0) {
		say_missing("no userfaultfd");
		return;
	}
	provided = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = { .range = { (uintptr_t)provided, PAGE },
					 .mode = UFFDIO_REGISTER_MODE_MISSING };

	must(ioctl(faults, UFFDIO_REGISTER, &range) == 0);
}

static void wait_provided(void)
{
	*(volatile char *)provided = 1;
}

static void end_provided(void)
{
	struct uffdio_zeropage page = { .range = { (uintptr_t)provided, PAGE } };

	say_waker("thread", own_tid());
	ioctl(faults, UFFDIO_ZEROPAGE, &page);
}

/* ---- a file system that a process provides */

static void mount_slow(uint32_t request)
{
	if (!fuse_mount("fuse", request))
		say_missing("no fuse");
	say_waker("thread", child);
}

static int slow_file;

static void before_fuse(void)
{
	mount_slow(FUSE_READ);
	slow_file = open("fuse/slow.txt", O_RDONLY);
	say_target("file slow.txt [0-9]+ on [0-9:]+");
}

static void wait_fuse(void)
{
	char byte;

	must(read(slow_file, &byte, 1) == 1);
}

static void wait_fuse_open(void)
{
	slow_file = open("fuse/slow.txt", O_RDONLY);
	must(slow_file >= 0);
}

static void close_fuse(void)
{
	must(close(slow_file) == 0);
}

static void before_fuse_open(void)
{
	mount_slow(FUSE_OPEN);
	say_target("file .*slow.txt");
}

static void before_fuse_look(void)
{
	mount_slow(FUSE_LOOKUP);
	say_target("file .*slow.txt");
}

static void wait_fuse_look(void)
{
	struct stat status;

	must(stat("fuse/slow.txt", &status) == 0);
}

static void before_fuse_close(void)
{
	mount_slow(FUSE_FLUSH);
	slow_file = open("fuse/slow.txt", O_RDONLY);
}

static void before_fuse_list(void)
{
	mount_slow(FUSE_READDIR);
	say_target("file .*");
}

static void wait_fuse_list(void)
{
	DIR *folder = opendir("fuse");

	must(folder);
	while (readdir(folder))
		;
	closedir(folder);
}

static void after_fuse(void)
{
	umount2("fuse", MNT_DETACH);
	reap_child();
}

static void after_fuse_file(void)
{
	close(slow_file);
	after_fuse();
}

const struct step file_steps[] = {
	{ "fsync", "disk", before_file, wait_fsync, NULL, NULL },
	{ "fdatasync", "disk", before_file, wait_fdatasync, NULL, NULL },
	{ "sync_file_range", "disk", before_file, wait_sync_range, NULL, NULL },
	{ "msync", "disk", before_fault, wait_msync, NULL, NULL },
	{ "direct-read", "disk", before_direct, wait_direct, NULL, NULL },
	{ "direct-write", "disk", before_direct, wait_direct_write, NULL, NULL },
	{ "preadv", "disk", before_cold, wait_read, NULL, NULL },
	{ "copy_file_range", "disk", before_cold, wait_copy, NULL, NULL },
	{ "sendfile", "disk", before_cold, wait_sendfile, NULL, NULL },
	{ "aio", "disk", before_aio, wait_aio, NULL, after_aio },
	{ "fault", "fault", before_fault, wait_fault, NULL, NULL },
	{ "userfault", "fault", before_provided, wait_provided, end_provided, NULL },
	{ "fuse", "disk", before_fuse, wait_fuse, NULL, after_fuse_file },
	{ "fuse-open", "disk", before_fuse_open, wait_fuse_open, NULL, after_fuse_file },
	{ "fuse-look", "disk", before_fuse_look, wait_fuse_look, NULL, after_fuse },
	{ "fuse-list", "disk", before_fuse_list, wait_fuse_list, NULL, after_fuse },
	{ "fuse-close", "disk", before_fuse_close, close_fuse, NULL, after_fuse },
	{ "io_uring", "io_uring", before_ring, wait_ring, NULL, after_ring },
	{ NULL, NULL, NULL, NULL, NULL, NULL },
};
