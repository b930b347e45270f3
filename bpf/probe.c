/* SPDX-License-Identifier: Apache-2.0 */
#include "bpf/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpf/probe_keeper.h"
#include "bpf/probe_packet.h"

struct probe {
	pid_t keeper;
	int socket_fd; /* owned */
};

int probe_start(const struct probe_options *options, struct probe **out_probe)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	int ends[2];

	if (!probe)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		free(probe);
		return -errno;
	}
	probe->socket_fd = ends[0];
	probe->keeper = fork();
	if (probe->keeper == 0)
		probe_keeper_run(options, ends[1]);
	close(ends[1]);
	if (probe->keeper < 0) {
		int status = -errno;

		close(ends[0]);
		free(probe);
		return status;
	}
	*out_probe = probe;
	return 0;
}

void probe_stop(struct probe *probe)
{
	if (!probe)
		return;
	close(probe->socket_fd);
	while (waitpid(probe->keeper, NULL, 0) < 0 && errno == EINTR)
		;
	free(probe);
}

int probe_fd(const struct probe *probe)
{
	return probe->socket_fd;
}

int probe_receive(struct probe *probe, struct probe_message *out_message, int *out_ring_fd,
		  int *out_counters_fd)
{
	return probe_packet_receive(probe->socket_fd, out_message, out_ring_fd, out_counters_fd);
}
