/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/worker_capabilities.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/capability.h>

#define BIT(capability) (1ull << (capability))

static int knows(int capability)
{
	return prctl(PR_CAPBSET_READ, capability) >= 0;
}

static int is_before_5_11(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	       (major < 5 || (major == 5 && minor < 11));
}

static uint64_t needed(void)
{
	uint64_t kept = BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SYSLOG);

	if (knows(CAP_CHECKPOINT_RESTORE))
		kept |= BIT(CAP_CHECKPOINT_RESTORE);
	kept |= knows(CAP_BPF) ? BIT(CAP_BPF) | BIT(CAP_PERFMON) : BIT(CAP_SYS_ADMIN);
	return is_before_5_11() ? kept | BIT(CAP_SYS_RESOURCE) : kept;
}

void worker_capabilities_keep_needed(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[2] = { 0 };
	uint64_t kept = needed();

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int capability = 0; knows(capability); capability++)
		if (!(kept & BIT(capability)))
			prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
	if (syscall(SYS_capget, &header, sets) < 0)
		return;
	for (int half = 0; half < 2; half++) {
		uint32_t mask = (uint32_t)(kept >> (32 * half));

		sets[half].permitted &= mask;
		sets[half].effective = sets[half].permitted;
		sets[half].inheritable = 0;
	}
	syscall(SYS_capset, &header, sets);
}
