/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collector/base/buf.h"

#define LAST_CAPABILITY 63 /* the kernel says EINVAL beyond its own last one */

#define LOCKED_BITS                                                                                \
	(SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |                          \
	 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

struct sets {
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

/* capget and capset have no wrapper in libc. */
static int read_sets(struct sets *out_sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	memset(out_sets, 0, sizeof(*out_sets));
	return syscall(SYS_capget, &header, out_sets->data) < 0 ? -errno : 0;
}

static int write_sets(const struct sets *sets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capset, &header, sets->data) < 0 ? -errno : 0;
}

static bool holds(const struct sets *sets, unsigned capability)
{
	return sets->data[capability / 32].effective & 1u << capability % 32;
}

static int refuse(struct buf *message, const char *what, int rc)
{
	buf_printf(message, "%s: %s", what, strerror(-rc));
	return rc;
}

/* The bounding set and the securebits take CAP_SETPCAP; without it there is nothing that they could
 * give back, as no_new_privs stops file capabilities and set-uid. */
static int lock_out(struct buf *message)
{
	for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno != EINVAL)
			return refuse(message, "bounding set", -errno);
	}
	if (prctl(PR_SET_SECUREBITS, LOCKED_BITS, 0, 0, 0) < 0)
		return refuse(message, "securebits", -errno);
	return 0;
}

static int check(bool was_locked_out, struct buf *message)
{
	struct sets sets;
	int rc = read_sets(&sets);

	if (rc < 0)
		return refuse(message, "capget", rc);
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		if (sets.data[i].effective | sets.data[i].permitted | sets.data[i].inheritable)
			return refuse(message, "capabilities are left", -EPERM);
	}
	for (int capability = 0; capability <= LAST_CAPABILITY; capability++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1)
			return refuse(message, "ambient capabilities are left", -EPERM);
		if (was_locked_out && prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1)
			return refuse(message, "the bounding set is not empty", -EPERM);
	}
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return refuse(message, "no_new_privs is not set", -EPERM);
	return 0;
}

int privileges_drop(struct buf *message)
{
	struct sets sets, none;
	bool may_lock_out;
	int rc = read_sets(&sets);

	if (rc < 0)
		return refuse(message, "capget", rc);
	may_lock_out = holds(&sets, CAP_SETPCAP);
	if (may_lock_out)
		rc = lock_out(message);
	if (rc < 0)
		return rc;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	memset(&none, 0, sizeof(none));
	rc = write_sets(&none);
	if (rc < 0)
		return refuse(message, "capset", rc);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return refuse(message, "no_new_privs", -errno);
	return check(may_lock_out, message);
}
