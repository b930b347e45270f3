/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/part_env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "storage/store_errno.h"

#define MAX_READERS 512 /* a thread of queries reads a part at most a few times at once */
#define FILE_MODE   0600

static int open_mdb(struct part_env *env, const struct part_env_options *options)
{
	int rc = mdb_env_create(&env->mdb), fd;

	if (rc == 0)
		rc = mdb_env_set_maxdbs(env->mdb, options->most_databases);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(env->mdb, MAX_READERS);
	if (rc == 0 && options->map_bytes)
		rc = mdb_env_set_mapsize(env->mdb, (size_t)options->map_bytes);
	if (rc == 0)
		rc = mdb_env_open(env->mdb, options->path, options->flags, FILE_MODE);
	if (rc == 0 && mdb_env_get_fd(env->mdb, &fd) == 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	return store_errno(rc);
}

int part_env_open(const struct part_env_options *options, struct part_env **out_env)
{
	struct part_env *env = calloc(1, sizeof(*env));
	int rc;

	if (!env)
		return -ENOMEM;
	atomic_init(&env->references, 1);
	rc = open_mdb(env, options);
	if (rc < 0) {
		part_env_release(env);
		return rc;
	}
	*out_env = env;
	return 0;
}

struct part_env *part_env_hold(struct part_env *env)
{
	atomic_fetch_add(&env->references, 1);
	return env;
}

void part_env_release(struct part_env *env)
{
	if (!env || atomic_fetch_sub(&env->references, 1) != 1)
		return;
	if (env->mdb)
		mdb_env_close(env->mdb);
	free(env);
}
