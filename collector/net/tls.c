/* SPDX-License-Identifier: Apache-2.0 */
#include "collector/net/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/base/macros.h"
#include "collector/net/file_stamp.h"

enum { CERT, KEY, CLIENT_CA, FILES };

static const char *const file_names[FILES] = { "certificate", "private key",
					       "certificates of the clients' authorities" };

struct tls_context {
	char *paths[FILES]; /* owned */
	bool offers_http2;
	struct file_stamp stamps[FILES];
	pthread_mutex_t lock;
	SSL_CTX *ssl; /* owned; under `lock` */
};

struct tls_session {
	SSL *ssl;      /* owned, and it owns its two ends */
	BIO *in, *out; /* borrowed from `ssl` */
	const char *complaint;
};

/* What OpenSSL thinks of the last failure; its queue is empty afterwards. */
static const char *last_reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return reason ? reason : "unknown error";
}

static int complain(struct buf *message, const struct tls_context *context, int file)
{
	buf_printf(message, "%s: the %s cannot be used: %s", context->paths[file], file_names[file],
		   last_reason());
	return -EINVAL;
}

/* The list is a client's: lengths and names. Ours in our order (RFC 7301). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
			   const unsigned char *offered, unsigned offered_len, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	const struct tls_context *context = arg;
	const unsigned char *from = context->offers_http2 ? ours : ours + 3;
	unsigned len = (unsigned)(sizeof(ours) - 1) - (context->offers_http2 ? 0 : 3);
	unsigned char *chosen;

	(void)ssl;
	if (SSL_select_next_proto(&chosen, out_len, from, len, offered, offered_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL notices either when it takes the key or when it is asked. */
static bool is_mismatch(void)
{
	unsigned long code = ERR_peek_last_error();

	return ERR_GET_LIB(code) == ERR_LIB_X509 &&
	       (ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH ||
		ERR_GET_REASON(code) == X509_R_KEY_TYPE_MISMATCH);
}

static int load_own(const struct tls_context *context, SSL_CTX *ssl, struct buf *message)
{
	if (SSL_CTX_use_certificate_chain_file(ssl, context->paths[CERT]) != 1)
		return complain(message, context, CERT);
	if (SSL_CTX_use_PrivateKey_file(ssl, context->paths[KEY], SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_check_private_key(ssl) == 1)
		return 0;
	if (!is_mismatch())
		return complain(message, context, KEY);
	buf_printf(message, "%s: the private key does not belong to the certificate %s",
		   context->paths[KEY], context->paths[CERT]);
	ERR_clear_error();
	return -EINVAL;
}

static int load_client_ca(const struct tls_context *context, SSL_CTX *ssl, struct buf *message)
{
	STACK_OF(X509_NAME) * names;

	if (!*context->paths[CLIENT_CA])
		return 0;
	names = SSL_load_client_CA_file(context->paths[CLIENT_CA]);
	if (!names || SSL_CTX_load_verify_file(ssl, context->paths[CLIENT_CA]) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return complain(message, context, CLIENT_CA);
	}
	SSL_CTX_set_client_CA_list(ssl, names);
	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

/* OpenSSL says "system lib" for a file that is missing: say it better, and before. */
static int check_readable(const struct tls_context *context, struct buf *message)
{
	for (int i = 0; i < FILES; i++) {
		const char *path = context->paths[i];

		if (i == CLIENT_CA && !*path)
			continue;
		if (!*path || access(path, R_OK) < 0) {
			int error = *path ? errno : EINVAL;

			buf_printf(message, "%s: the %s cannot be read: %s", path, file_names[i],
				   strerror(error));
			return -error;
		}
	}
	return 0;
}

/* No passphrase can be asked for. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int load(struct tls_context *context, SSL_CTX **out_ssl, struct buf *message)
{
	static const unsigned char session_name[] = "spanwise";
	SSL_CTX *ssl;
	int rc = check_readable(context, message);

	if (rc < 0)
		return rc;
	ssl = SSL_CTX_new(TLS_server_method());
	if (!ssl)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ssl, session_name, sizeof(session_name) - 1);
	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, context);
	rc = load_own(context, ssl, message);
	if (rc == 0)
		rc = load_client_ca(context, ssl, message);
	if (rc < 0) {
		SSL_CTX_free(ssl);
		return rc;
	}
	*out_ssl = ssl;
	return 0;
}

static bool have_changed(const struct tls_context *context)
{
	for (int i = 0; i < FILES; i++) {
		struct file_stamp now = file_stamp_of(context->paths[i]);

		if (!file_stamp_eq(&now, &context->stamps[i]))
			return true;
	}
	return false;
}

int tls_context_reload(struct tls_context *context, bool force, struct buf *message)
{
	SSL_CTX *ssl, *old;
	int rc;

	if (!force && !have_changed(context))
		return 0;
	for (int i = 0; i < FILES; i++)
		context->stamps[i] = file_stamp_of(context->paths[i]);
	rc = load(context, &ssl, message);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&context->lock);
	old = context->ssl;
	context->ssl = ssl;
	pthread_mutex_unlock(&context->lock);
	SSL_CTX_free(old);
	return 1;
}

int tls_context_new(const struct tls_files *files, bool offers_http2,
		    struct tls_context **out_context, struct buf *message)
{
	struct tls_context *context = calloc(1, sizeof(*context));
	int rc = -ENOMEM;

	if (!context)
		return rc;
	pthread_mutex_init(&context->lock, NULL);
	context->offers_http2 = offers_http2;
	context->paths[CERT] = strdup(files->cert);
	context->paths[KEY] = strdup(files->key);
	context->paths[CLIENT_CA] = strdup(files->client_ca);
	if (context->paths[CERT] && context->paths[KEY] && context->paths[CLIENT_CA])
		rc = tls_context_reload(context, true, message);
	if (rc < 0) {
		tls_context_free(context);
		return rc;
	}
	*out_context = context;
	return 0;
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	for (int i = 0; i < FILES; i++)
		free(context->paths[i]);
	SSL_CTX_free(context->ssl);
	pthread_mutex_destroy(&context->lock);
	free(context);
}

int tls_session_new(struct tls_context *context, struct tls_session **out_session)
{
	struct tls_session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	pthread_mutex_lock(&context->lock);
	session->ssl = SSL_new(context->ssl);
	pthread_mutex_unlock(&context->lock);
	session->in = BIO_new(BIO_s_mem());
	session->out = BIO_new(BIO_s_mem());
	if (!session->ssl || !session->in || !session->out) {
		BIO_free(session->in);
		BIO_free(session->out);
		SSL_free(session->ssl);
		free(session);
		return -ENOMEM;
	}
	SSL_set_bio(session->ssl, session->in, session->out);
	SSL_set_accept_state(session->ssl);
	*out_session = session;
	return 0;
}

void tls_session_free(struct tls_session *session)
{
	if (!session)
		return;
	SSL_free(session->ssl);
	free(session);
}

void tls_session_feed(struct tls_session *session, struct str bytes)
{
	if (BIO_write(session->in, bytes.data, (int)bytes.len) != (int)bytes.len)
		session->complaint = "out of memory";
}

ssize_t tls_session_read(struct tls_session *session, char *out, size_t size)
{
	int got;

	if (session->complaint)
		return -EPROTO;
	ERR_clear_error();
	got = SSL_read(session->ssl, out, (int)MIN(size, (size_t)1 << 30));
	if (got > 0)
		return got;
	switch (SSL_get_error(session->ssl, got)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		session->complaint = last_reason();
		return -EPROTO;
	}
}

/* A memory BIO takes everything: nothing is ever left over. */
int tls_session_write(struct tls_session *session, struct str plain)
{
	if (plain.len == 0)
		return 0;
	ERR_clear_error();
	if (SSL_write(session->ssl, plain.data, (int)plain.len) == (int)plain.len)
		return 0;
	session->complaint = last_reason();
	return -EPROTO;
}

int tls_session_pull(struct tls_session *session, struct buf *out)
{
	size_t pending = BIO_ctrl_pending(session->out);
	char *room;
	int got;

	if (pending == 0)
		return 0;
	room = buf_reserve(out, pending);
	if (!room)
		return buf_error(out);
	got = BIO_read(session->out, room, (int)pending);
	out->len += got > 0 ? (size_t)got : 0;
	return 0;
}

void tls_session_end(struct tls_session *session)
{
	ERR_clear_error();
	if (!session->complaint && tls_session_is_open(session))
		SSL_shutdown(session->ssl);
	ERR_clear_error();
}

bool tls_session_is_open(const struct tls_session *session)
{
	return SSL_is_init_finished(session->ssl);
}

const char *tls_session_complaint(const struct tls_session *session)
{
	return session->complaint ? session->complaint : "TLS failed";
}

struct str tls_session_protocol(const struct tls_session *session)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(session->ssl, &name, &len);
	return (struct str){ (const char *)name, len };
}
