/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/exposure.h"

#include <errno.h>

#include "collector/address.h"
#include "collector/base/buf.h"
#include "collector/config.h"

struct door {
	const char *name, *address;
	const char *cert, *key, *client_ca, *tokens;
};

static int check(const struct door *door, struct buf *message)
{
	const char *name = door->name;
	bool has_tls = *door->cert != '\0';

	if (has_tls != (*door->key != '\0')) {
		buf_printf(message, "%s_tls_cert, %s_tls_key: one without the other\n", name, name);
		return -EINVAL;
	}
	if (*door->client_ca && !has_tls) {
		buf_printf(message, "%s_tls_client_ca: needs %s_tls_cert and %s_tls_key\n", name,
			   name, name);
		return -EINVAL;
	}
	if (address_check(door->address) != ADDRESS_ELSEWHERE)
		return 0;
	if (!has_tls && !*door->tokens) {
		buf_printf(
			message,
			"%s: other machines could connect to \"%s\", without encryption and "
			"authentication: set %s_tls_cert and %s_tls_key (and %s_tls_client_ca for "
			"mTLS), or %s_tokens, or choose a loopback address or unix:/path\n",
			name, door->address, name, name, name, name);
		return -EINVAL;
	}
	return 0;
}

int exposure_check(const struct config *config, struct buf *message)
{
	const struct door doors[] = {
		{ "grpc", config->grpc, config->grpc_tls_cert, config->grpc_tls_key,
		  config->grpc_tls_client_ca, config->grpc_tokens },
		{ "http", config->http, config->http_tls_cert, config->http_tls_key,
		  config->http_tls_client_ca, config->http_tokens },
		{ "api", config->api, config->api_tls_cert, config->api_tls_key,
		  config->api_tls_client_ca, config->api_tokens },
	};
	int rc = 0;

	for (size_t i = 0; i < sizeof(doors) / sizeof(*doors); i++) {
		if (check(&doors[i], message) < 0)
			rc = -EINVAL;
	}
	return rc;
}
