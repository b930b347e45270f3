/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/context/reference.h"

#include <elf.h>
#include <errno.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static int read_words(pid_t tid, uint64_t address, uint64_t *out, size_t count)
{
	struct iovec local = { out, count * 8 };
	struct iovec remote = { (void *)(uintptr_t)address, count * 8 };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) == (ssize_t)(count * 8) ? 0
										       : -EFAULT;
}

static int thread_pointer(pid_t tid, uint64_t *out_tp)
{
	struct user_regs_struct registers;
	struct iovec vector = { &registers, sizeof(registers) };

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &vector) < 0)
		return -errno;
	*out_tp = registers.fs_base;
	return 0;
}

static int glibc_block(pid_t tid, uint64_t dtv, const struct tag_variable *variable,
		       uint64_t *out_block)
{
	uint64_t head[3];
	int rc = read_words(tid, dtv - 16, head, 3);

	if (rc < 0)
		return rc;
	if (variable->module > head[0] || head[2] < variable->generation)
		return -ENODATA;
	rc = read_words(tid, dtv + 16ull * variable->module, out_block, 1);
	/* Never touched: -1, or 0 if the thread is older than the library. */
	return rc == 0 && (*out_block == UINT64_MAX || *out_block == 0) ? -ENODATA : rc;
}

static int musl_block(pid_t tid, uint64_t dtv, const struct tag_variable *variable,
		      uint64_t *out_block)
{
	uint64_t modules;
	int rc = read_words(tid, dtv, &modules, 1);

	if (rc < 0)
		return rc;
	if (variable->module > modules)
		return -ENODATA;
	return read_words(tid, dtv + 8ull * variable->module, out_block, 1);
}

static int resolve(pid_t tid, const struct tag_variable *variable, uint64_t *out_address)
{
	uint64_t tp = 0, dtv = 0, block = 0;
	int rc = thread_pointer(tid, &tp);

	if (rc < 0)
		return rc;
	if (variable->access == TAG_STATIC) {
		*out_address = tp + (uint64_t)variable->offset;
		return 0;
	}
	rc = read_words(tid, tp + 8, &dtv, 1);
	if (rc < 0)
		return rc;
	rc = variable->access == TAG_DTV_MUSL ? musl_block(tid, dtv, variable, &block)
					      : glibc_block(tid, dtv, variable, &block);
	if (rc == 0)
		*out_address = block + (uint64_t)variable->offset;
	return rc;
}

int reference_address(pid_t tid, const struct tag_variable *variable, uint64_t *out_address)
{
	int status, rc;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0)
		return -errno;
	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 || waitpid(tid, &status, __WALL) < 0)
		rc = -errno;
	else
		rc = resolve(tid, variable, out_address);
	ptrace(PTRACE_DETACH, tid, 0, 0);
	return rc;
}
