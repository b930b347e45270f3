/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/cli/processes.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/address.h"

#define COMM_BYTES 16
#define TCP_LISTEN 0x0a

static void read_comm(uint32_t pid, char *out_comm, size_t size)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	out_comm[0] = '\0';
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(out_comm, (int)size, file))
		out_comm[strcspn(out_comm, "\n")] = '\0';
	fclose(file);
}

/* The next pid of /proc; 0 at the end. */
static uint32_t next_pid(DIR *proc)
{
	struct dirent *entry;

	while ((entry = readdir(proc))) {
		unsigned long pid = strtoul(entry->d_name, NULL, 10);

		if (pid && pid <= UINT32_MAX)
			return (uint32_t)pid;
	}
	return 0;
}

uint32_t processes_find(const char *wanted)
{
	DIR *proc = opendir("/proc");
	char comm[COMM_BYTES + 1];
	uint32_t pid = 0;

	while (proc && (pid = next_pid(proc))) {
		read_comm(pid, comm, sizeof(comm));
		if (strncmp(comm, wanted, COMM_BYTES - 1) == 0)
			break;
	}
	if (proc)
		closedir(proc);
	return pid;
}

uint64_t processes_capabilities(uint32_t pid)
{
	char path[64], line[256];
	uint64_t mask = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "CapEff: %" SCNx64, &mask) == 1)
			break;
	}
	if (file)
		fclose(file);
	return mask;
}

struct socket_key {
	bool is_v6;
	uint16_t port;
	struct in_addr v4;
	struct in6_addr v6;
};

/* /proc/net/tcp writes addresses as words in the machine's order. */
static bool matches(const struct socket_key *key, const char *local)
{
	struct in6_addr address = { 0 };
	struct in_addr v4;
	unsigned port;

	if (strlen(local) == 13) {
		if (sscanf(local, "%8" SCNx32 ":%4x", &v4.s_addr, &port) != 2 || port != key->port)
			return false;
		return !key->is_v6 && (v4.s_addr == key->v4.s_addr || v4.s_addr == INADDR_ANY);
	}
	if (sscanf(local, "%8" SCNx32 "%8" SCNx32 "%8" SCNx32 "%8" SCNx32 ":%4x",
		   &address.s6_addr32[0], &address.s6_addr32[1], &address.s6_addr32[2],
		   &address.s6_addr32[3], &port) != 5 ||
	    port != key->port)
		return false;
	if (IN6_IS_ADDR_UNSPECIFIED(&address)) /* also takes IPv4, unless told otherwise */
		return true;
	return key->is_v6 && memcmp(&address, &key->v6, sizeof(address)) == 0;
}

/* The inode of a listening socket; 0: none. */
static unsigned long find_inode(const char *path, const struct socket_key *key)
{
	FILE *file = fopen(path, "re");
	unsigned long found = 0;
	char line[512];

	while (file && !found && fgets(line, sizeof(line), file)) {
		unsigned long inode;
		char local[64];
		unsigned state;

		if (sscanf(line, " %*d: %63s %*s %x %*s %*s %*s %*s %*s %lu", local, &state,
			   &inode) == 3 &&
		    state == TCP_LISTEN && matches(key, local))
			found = inode;
	}
	if (file)
		fclose(file);
	return found;
}

static bool holds(uint32_t pid, const char *wanted)
{
	char path[64], target[64];
	struct dirent *entry;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%u/fd", pid);
	fds = opendir(path);
	while (fds && !found && (entry = readdir(fds))) {
		ssize_t len = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);

		if (len <= 0)
			continue;
		target[len] = '\0';
		found = strcmp(target, wanted) == 0;
	}
	if (fds)
		closedir(fds);
	return found;
}

static uint32_t find_holder(unsigned long inode)
{
	DIR *proc = opendir("/proc");
	char wanted[64];
	uint32_t pid = 0;

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	while (proc && (pid = next_pid(proc))) {
		if (holds(pid, wanted))
			break;
	}
	if (proc)
		closedir(proc);
	return pid;
}

static bool make_key(const char *address, struct socket_key *out_key)
{
	struct sockaddr_storage parsed;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&parsed;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&parsed;

	if (address_parse(address, &parsed) < 0)
		return false;
	*out_key = (struct socket_key){ .is_v6 = parsed.ss_family == AF_INET6 };
	if (out_key->is_v6) {
		out_key->v6 = v6->sin6_addr;
		out_key->port = ntohs(v6->sin6_port);
	} else {
		out_key->v4 = v4->sin_addr;
		out_key->port = ntohs(v4->sin_port);
	}
	return out_key->port != 0;
}

enum processes_port processes_listening(const char *address, uint32_t *out_pid, char *out_comm,
					size_t comm_size)
{
	struct socket_key key;
	unsigned long inode;

	*out_pid = 0;
	out_comm[0] = '\0';
	if (!make_key(address, &key))
		return PROCESSES_PORT_BAD;
	inode = find_inode("/proc/net/tcp", &key);
	if (!inode)
		inode = find_inode("/proc/net/tcp6", &key);
	if (!inode)
		return PROCESSES_PORT_FREE;
	*out_pid = find_holder(inode);
	if (*out_pid)
		read_comm(*out_pid, out_comm, comm_size);
	return PROCESSES_PORT_TAKEN;
}
