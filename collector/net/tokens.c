/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/tokens.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "collector/net/file_stamp.h"

/* Only digests are kept and compared: all of one length, so that neither the length of a token nor
 * a common beginning shows in the time. */
struct digest {
	uint8_t bytes[SHA256_DIGEST_LENGTH];
};

struct tokens {
	char *path; /* owned */
	struct file_stamp stamp;
	pthread_mutex_t lock;
	struct digest *digests; /* owned; both under `lock` */
	size_t count;
};

struct list {
	struct digest *digests; /* owned */
	size_t count;
};

static struct digest digest_of(struct str token)
{
	struct digest digest;

	SHA256((const uint8_t *)token.data, token.len, digest.bytes);
	return digest;
}

static struct str trim(struct str text)
{
	while (text.len && strchr(" \t\r\n", text.data[text.len - 1]))
		text.len--;
	while (text.len && strchr(" \t", text.data[0])) {
		text.data++;
		text.len--;
	}
	return text;
}

static int take_line(struct list *list, struct str token, unsigned number, const char *path,
		     struct buf *message)
{
	if (token.len == 0 || token.data[0] == '#')
		return 0;
	if (token.len < TOKENS_MIN_BYTES) {
		buf_printf(message, "%s:%u: a token of less than %d characters can be guessed",
			   path, number, TOKENS_MIN_BYTES);
		return -EINVAL;
	}
	if (list->count == TOKENS_MAX) {
		buf_printf(message, "%s: more than %d tokens", path, TOKENS_MAX);
		return -EINVAL;
	}
	list->digests[list->count++] = digest_of(token);
	return 0;
}

static int read_lines(FILE *file, struct list *list, const char *path, struct buf *message)
{
	char line[TOKENS_MAX_BYTES];
	unsigned number = 0;
	int rc = 0;

	while (rc == 0 && fgets(line, sizeof(line), file)) {
		number++;
		if (strlen(line) == sizeof(line) - 1) {
			buf_printf(message, "%s:%u: the line is too long", path, number);
			rc = -EINVAL;
		} else {
			rc = take_line(list, trim(str_of(line)), number, path, message);
		}
	}
	OPENSSL_cleanse(line, sizeof(line));
	if (rc == 0 && list->count == 0) {
		buf_printf(message, "%s: there is no token in it", path);
		rc = -EINVAL;
	}
	return rc;
}

static int check_mode(FILE *file, const char *path, struct buf *message)
{
	struct stat status;

	if (fstat(fileno(file), &status) < 0)
		return -errno;
	if ((status.st_mode & S_IROTH) == 0)
		return 0;
	buf_printf(message, "%s: everybody can read the tokens: chmod o-r", path);
	return -EACCES;
}

static int load(const char *path, struct list *list, struct buf *message)
{
	FILE *file = fopen(path, "re");
	int rc;

	if (!file) {
		rc = -errno;
		buf_printf(message, "%s: the tokens cannot be read: %s", path, strerror(-rc));
		return rc;
	}
	list->digests = calloc(TOKENS_MAX, sizeof(*list->digests));
	rc = list->digests ? check_mode(file, path, message) : -ENOMEM;
	if (rc == 0)
		rc = read_lines(file, list, path, message);
	if (rc < 0)
		free(list->digests);
	fclose(file);
	return rc;
}

int tokens_reload(struct tokens *tokens, bool force, struct buf *message)
{
	struct file_stamp now = file_stamp_of(tokens->path);
	struct list list = { 0 };
	struct digest *old;
	int rc;

	if (!force && file_stamp_eq(&now, &tokens->stamp))
		return 0;
	tokens->stamp = now;
	rc = load(tokens->path, &list, message);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&tokens->lock);
	old = tokens->digests;
	tokens->digests = list.digests;
	tokens->count = list.count;
	pthread_mutex_unlock(&tokens->lock);
	free(old);
	return 1;
}

int tokens_new(const char *path, struct tokens **out_tokens, struct buf *message)
{
	struct tokens *tokens = calloc(1, sizeof(*tokens));
	int rc = -ENOMEM;

	if (!tokens)
		return rc;
	pthread_mutex_init(&tokens->lock, NULL);
	tokens->path = strdup(path);
	if (tokens->path)
		rc = tokens_reload(tokens, true, message);
	if (rc < 0) {
		tokens_free(tokens);
		return rc;
	}
	*out_tokens = tokens;
	return 0;
}

void tokens_free(struct tokens *tokens)
{
	if (!tokens)
		return;
	free(tokens->path);
	free(tokens->digests);
	pthread_mutex_destroy(&tokens->lock);
	free(tokens);
}

/* All are compared, also after one has fitted. */
static bool is_known(struct tokens *tokens, struct str token)
{
	struct digest digest = digest_of(token);
	unsigned hits = 0;

	pthread_mutex_lock(&tokens->lock);
	for (size_t i = 0; i < tokens->count; i++)
		hits |= CRYPTO_memcmp(&digest, &tokens->digests[i], sizeof(digest)) == 0;
	pthread_mutex_unlock(&tokens->lock);
	return hits;
}

bool tokens_allow(struct tokens *tokens, struct str authorization)
{
	static const char scheme[] = "bearer ";
	size_t len = sizeof(scheme) - 1;

	if (authorization.len <= len || strncasecmp(authorization.data, scheme, len) != 0)
		return false;
	authorization.data += len;
	authorization.len -= len;
	return is_known(tokens, trim(authorization));
}
