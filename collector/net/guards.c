/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/guards.h"

#include "collector/config.h"
#include "collector/log.h"

int guards_open(const struct config *config, struct guards *guards)
{
	const struct credentials_options options[GUARDED] = {
		{ "grpc", config->grpc_tls_cert, config->grpc_tls_key, config->grpc_tls_client_ca,
		  config->grpc_tokens, true },
		{ "http", config->http_tls_cert, config->http_tls_key, config->http_tls_client_ca,
		  config->http_tokens, true },
		{ "api", config->api_tls_cert, config->api_tls_key, config->api_tls_client_ca,
		  config->api_tokens, false },
	};
	struct buf message;
	int rc = 0;

	buf_init(&message, 0);
	for (int i = 0; rc == 0 && i < GUARDED; i++) {
		rc = credentials_open(&options[i], &guards->of[i], &message);
		if (rc < 0)
			log_line(LOG_ERROR, "%s: %.*s", options[i].name, (int)message.len,
				 message.data);
	}
	buf_fini(&message);
	return rc;
}

void guards_close(struct guards *guards)
{
	for (int i = 0; i < GUARDED; i++)
		credentials_close(&guards->of[i]);
}

void guards_reload(struct guards *guards, bool force)
{
	for (int i = 0; i < GUARDED; i++)
		credentials_reload(&guards->of[i], force);
}
