/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/credentials.h"

#include "collector/log.h"
#include "collector/net/tls.h"
#include "collector/net/tokens.h"

int credentials_open(const struct credentials_options *options, struct credentials *credentials,
		     struct buf *message)
{
	struct tls_files files = { options->cert, options->key, options->client_ca };
	int rc = 0;

	*credentials = (struct credentials){ .name = options->name };
	if (*options->cert)
		rc = tls_context_new(&files, options->offers_http2, &credentials->tls, message);
	if (rc == 0 && *options->tokens)
		rc = tokens_new(options->tokens, &credentials->tokens, message);
	if (rc < 0)
		credentials_close(credentials);
	return rc;
}

void credentials_close(struct credentials *credentials)
{
	tls_context_free(credentials->tls);
	tokens_free(credentials->tokens);
	credentials->tls = NULL;
	credentials->tokens = NULL;
}

static void report(const struct credentials *credentials, const char *what, int rc,
		   const struct buf *message)
{
	if (rc > 0)
		log_line(LOG_INFO, "%s: the %s were read again", credentials->name, what);
	else if (rc < 0)
		log_line(LOG_ERROR,
			 "%s: the %s were read again and are not used, the old ones "
			 "stay: %.*s",
			 credentials->name, what, (int)message->len, message->data);
}

void credentials_reload(struct credentials *credentials, bool force)
{
	struct buf message;

	buf_init(&message, 0);
	if (credentials->tls)
		report(credentials, "certificates",
		       tls_context_reload(credentials->tls, force, &message), &message);
	buf_clear(&message);
	if (credentials->tokens)
		report(credentials, "tokens", tokens_reload(credentials->tokens, force, &message),
		       &message);
	buf_fini(&message);
}
