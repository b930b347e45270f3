/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/wake.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "collector/base/macros.h"

/* What is sent while on_wake runs comes with the next turn of the loop. */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct wake *wake = CONTAINER_OF(poll, struct wake, poll);
	uint64_t count;

	(void)status;
	(void)events;
	if (read(wake->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return;
	atomic_store(&wake->is_sent, false);
	wake->on_wake(wake);
}

int wake_init(struct wake *wake, uv_loop_t *loop, void (*on_wake)(struct wake *wake))
{
	int rc;

	wake->on_wake = on_wake;
	atomic_init(&wake->is_sent, false);
	wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake->fd < 0)
		return -errno;
	rc = uv_poll_init(loop, &wake->poll, wake->fd);
	if (rc < 0)
		close(wake->fd);
	else
		uv_poll_start(&wake->poll, UV_READABLE, on_readable); /* only notes it */
	return rc;
}

void wake_send(struct wake *wake)
{
	uint64_t one = 1;

	/* It cannot fail: the count would have to reach 2^64. */
	if (!atomic_exchange(&wake->is_sent, true) && write(wake->fd, &one, sizeof(one)) < 0)
		atomic_store(&wake->is_sent, false);
}

void wake_hold_loop(struct wake *wake, bool holds)
{
	if (holds)
		uv_ref((uv_handle_t *)&wake->poll);
	else
		uv_unref((uv_handle_t *)&wake->poll);
}

static void on_closed(uv_handle_t *handle)
{
	struct wake *wake = CONTAINER_OF((uv_poll_t *)handle, struct wake, poll);

	close(wake->fd);
	wake->on_closed(wake);
}

void wake_close(struct wake *wake, void (*closed)(struct wake *wake))
{
	wake->on_closed = closed;
	uv_close((uv_handle_t *)&wake->poll, on_closed);
}
