/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/alert/alert_sign.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "collector/base/buf.h"
#include "collector/base/hex.h"

int alert_sign(struct str secret, uint64_t timestamp_s, struct str body,
	       char out_hex[ALERT_SIGN_HEX + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct buf text;
	bool is_done = false;

	buf_init(&text, 0);
	buf_printf(&text, "%" PRIu64 ".", timestamp_s);
	buf_append_str(&text, body);
	if (!buf_error(&text))
		is_done = HMAC(EVP_sha256(), secret.data, (int)secret.len,
			       (const unsigned char *)text.data, text.len, digest, &len);
	buf_fini(&text);
	if (!is_done)
		return -ENOMEM;
	hex_encode(digest, ALERT_SIGN_HEX / 2, out_hex);
	return 0;
}
