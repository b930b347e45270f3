/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/probe_packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for the control message, aligned as its header wants it. */
union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(2 * sizeof(int))];
};

int probe_packet_send(int socket_fd, const struct probe_message *message, int first_fd,
		      int second_fd)
{
	struct iovec body = { .iov_base = (void *)message, .iov_len = sizeof(*message) };
	struct msghdr packet = { .msg_iov = &body, .msg_iovlen = 1 };
	union control control = { 0 };
	int fds[2] = { first_fd, second_fd };

	if (first_fd >= 0 && second_fd >= 0) {
		packet.msg_control = control.bytes;
		packet.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	}
	while (sendmsg(socket_fd, &packet, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	return 0;
}

/* Both or none: what else came along is closed. */
static void take_fds(struct msghdr *packet, int *out_first_fd, int *out_second_fd)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(packet);
	int fds[2];

	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len < CMSG_LEN(sizeof(int)))
		return;
	if (header->cmsg_len < CMSG_LEN(sizeof(fds))) {
		memcpy(fds, CMSG_DATA(header), sizeof(int));
		close(fds[0]);
		return;
	}
	memcpy(fds, CMSG_DATA(header), sizeof(fds));
	*out_first_fd = fds[0];
	*out_second_fd = fds[1];
}

int probe_packet_receive(int socket_fd, struct probe_message *out_message, int *out_first_fd,
			 int *out_second_fd)
{
	struct iovec body = { .iov_base = out_message, .iov_len = sizeof(*out_message) };
	union control control = { 0 };
	struct msghdr packet = {
		.msg_iov = &body,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t bytes;

	*out_first_fd = -1;
	*out_second_fd = -1;
	do
		bytes = recvmsg(socket_fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (bytes < 0 && errno == EINTR);
	if (bytes < 0)
		return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
	if (bytes == 0)
		return -EPIPE;
	take_fds(&packet, out_first_fd, out_second_fd);
	return bytes == sizeof(*out_message) ? 1 : -EPROTO;
}
