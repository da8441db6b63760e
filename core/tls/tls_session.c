#include "core/tls/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/tls/tls_bytes.h"
#include "core/tls/tls_context.h"

#define WAITING_MAX ((size_t)20 << 20) /* plain bytes written before the handshake is done */
#define OUTPUT_MAX ((size_t)64 << 20)  /* encrypted bytes nobody has fetched */
#define RECORD_MAX 16384u              /* plain bytes of one TLS record */

struct tls_session {
    struct tls_context *context;
    SSL *ssl;
    char host[TLS_HOST_MAX + 1];
    const char *input; /* what the caller feeds, while it does */
    size_t input_size;
    struct tls_bytes output, waiting;
    bool ready, peer_closed, closing;
    bool feeding, doomed; /* doomed: freed inside the plain callback */
    int error;
};

/* ---- the BIO: reads the caller's buffer in place, appends to the output ---- */

static int bio_read(BIO *bio, char *bytes, size_t size, size_t *ret_size)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (session->input_size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (size > session->input_size)
        size = session->input_size;
    memcpy(bytes, session->input, size);
    session->input += size;
    session->input_size -= size;
    *ret_size = size;
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t size, size_t *ret_size)
{
    struct tls_session *session = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (tls_bytes_append(&session->output, bytes, size, OUTPUT_MAX) < 0)
        return 0;
    *ret_size = size;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* One for the process, made by the first session and kept. */
static BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;

    if (!method) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "umbel");
        if (method) {
            BIO_meth_set_read_ex(method, bio_read);
            BIO_meth_set_write_ex(method, bio_write);
            BIO_meth_set_ctrl(method, bio_control);
        }
    }
    return method;
}

/* ---- life ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static int expect_host(SSL *ssl, const char *host)
{
    if (is_address(host))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int tls_session_create(struct tls_context *context, const char *host, struct tls_session **ret_session, struct why *why)
{
    struct tls_session *session;
    SSL_SESSION *earlier;
    BIO *bio = NULL;

    if (*host == '\0' || strlen(host) > TLS_HOST_MAX)
        return why_set(why, -EINVAL, "a host name of %zu bytes: 1 to %u are possible", strlen(host), TLS_HOST_MAX);
    session = calloc(1, sizeof *session);
    if (!session)
        return why_set(why, -ENOMEM, "no memory for a TLS session");
    ERR_clear_error();
    session->context = context;
    strcpy(session->host, host);
    session->ssl = SSL_new(context->ssl);
    if (session->ssl && bio_method())
        bio = BIO_new(bio_method());
    if (!bio || !expect_host(session->ssl, host)) {
        why_set(why, -ENOMEM, "no TLS session for %s: %s", host, tls_words("no memory"));
        BIO_free(bio);
        tls_session_free(session);
        return -ENOMEM;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    SSL_set_connect_state(session->ssl);
    earlier = tls_context_resume(context, host);
    if (earlier)
        SSL_set_session(session->ssl, earlier);
    *ret_session = session;
    return 0;
}

void tls_session_free(struct tls_session *session)
{
    if (!session)
        return;
    if (session->feeding) {
        session->doomed = true;
        return;
    }
    /* Without this OpenSSL takes the session for broken and makes it unusable for resumption, though only we end it early. */
    if (session->ssl && session->ready && !session->error)
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    tls_bytes_free(&session->output);
    if (session->waiting.data)
        OPENSSL_cleanse(session->waiting.data, session->waiting.size); /* requests carry keys */
    tls_bytes_free(&session->waiting);
    free(session);
}

int tls_new_session(SSL *ssl, SSL_SESSION *ticket)
{
    struct tls_session *session = SSL_get_app_data(ssl);

    tls_context_keep(session->context, session->host, ticket);
    return 1; /* the reference is ours now */
}

/* ---- bytes ---- */

/* What the server says of our certificate, or of its absence; NULL: nothing of the kind.  It says so after our handshake is done
 * with TLS 1.3, and by the general alert with TLS 1.2. */
static const char *words_on_identity(const SSL *ssl, unsigned long code)
{
    bool shown = SSL_get_certificate(ssl) != NULL;

    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        return NULL;
    switch (ERR_GET_REASON(code)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        return "it demands a client certificate: set client_cert and client_key";
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
        return shown ? NULL
                     : "it ended the handshake; a service that demands a client certificate does so when client_cert is not set";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        return shown ? "it does not accept our client certificate" : NULL;
    default:
        return NULL;
    }
}

static int failed(struct tls_session *session, struct why *why)
{
    long verdict = SSL_get_verify_result(session->ssl);
    unsigned long code = ERR_peek_error();
    const char *identity;

    session->error = -EPROTO;
    tls_context_forget(session->context, session->host);
    if (verdict != X509_V_OK) {
        ERR_clear_error();
        return why_set(why, -EPROTO, "the certificate of %s is not accepted: %s", session->host,
                       X509_verify_cert_error_string(verdict));
    }
    identity = words_on_identity(session->ssl, code);
    return why_set(why, -EPROTO, "TLS with %s failed: %s%s%s%s", session->host, tls_words("unknown reason"), identity ? " (" : "",
                   identity ? identity : "", identity ? ")" : "");
}

static int encrypt(struct tls_session *session, const char *bytes, size_t size, struct why *why)
{
    while (size > 0) {
        size_t written = 0;

        ERR_clear_error();
        if (SSL_write_ex(session->ssl, bytes, size, &written) != 1)
            return failed(session, why);
        bytes += written;
        size -= written;
    }
    return 0;
}

static int handshake(struct tls_session *session, struct why *why)
{
    int r;

    ERR_clear_error();
    r = SSL_do_handshake(session->ssl);
    if (r != 1)
        return SSL_get_error(session->ssl, r) == SSL_ERROR_WANT_READ ? 0 : failed(session, why);
    session->ready = true;
    if (session->waiting.size > 0) {
        r = encrypt(session, session->waiting.data, session->waiting.size, why);
        OPENSSL_cleanse(session->waiting.data, session->waiting.size);
        tls_bytes_free(&session->waiting);
        return r < 0 ? r : 0;
    }
    return 0;
}

static int decrypt(struct tls_session *session, void (*plain)(void *owner, const char *bytes, size_t size), void *owner,
                   struct why *why)
{
    char bytes[RECORD_MAX];
    size_t size;
    int reason;

    while (!session->doomed) {
        ERR_clear_error();
        if (SSL_read_ex(session->ssl, bytes, sizeof bytes, &size) == 1) {
            plain(owner, bytes, size);
            continue;
        }
        reason = SSL_get_error(session->ssl, 0);
        if (reason == SSL_ERROR_WANT_READ)
            return 0;
        if (reason != SSL_ERROR_ZERO_RETURN)
            return failed(session, why);
        session->peer_closed = true;
        return 1;
    }
    return -ECANCELED;
}

int tls_session_feed(struct tls_session *session, const char *bytes, size_t size,
                     void (*plain)(void *owner, const char *bytes, size_t size), void *owner, struct why *why)
{
    int r = 0;

    if (session->error)
        return why_set(why, session->error, "TLS with %s has failed before", session->host);
    if (session->peer_closed)
        return 1;
    session->feeding = true;
    session->input = bytes;
    session->input_size = size;
    if (!session->ready)
        r = handshake(session, why);
    if (r == 0 && session->ready)
        r = decrypt(session, plain, owner, why);
    session->input = NULL;
    session->input_size = 0;
    session->feeding = false;
    if (session->doomed) {
        tls_session_free(session);
        return -ECANCELED;
    }
    return r;
}

int tls_session_write(struct tls_session *session, const void *bytes, size_t size, struct why *why)
{
    int r;

    if (session->error || session->closing)
        return why_set(why, -EPIPE, "TLS with %s is closed", session->host);
    if (session->ready)
        return encrypt(session, bytes, size, why);
    r = tls_bytes_append(&session->waiting, bytes, size, WAITING_MAX);
    if (r < 0)
        why_errno(why, -r, "%zu bytes cannot wait for the TLS handshake with %s", size, session->host);
    return r;
}

const char *tls_session_output(struct tls_session *session, size_t *ret_size)
{
    *ret_size = session->output.size;
    return session->output.data;
}

void tls_session_sent(struct tls_session *session)
{
    tls_bytes_free(&session->output);
}

int tls_session_is_ready(const struct tls_session *session)
{
    return session->ready;
}

int tls_session_is_resumed(const struct tls_session *session)
{
    return session->ready && SSL_session_reused(session->ssl);
}

void tls_session_facts(const struct tls_session *session, struct tls_facts *ret)
{
    const X509 *certificate;
    int seconds;

    *ret = (struct tls_facts){0};
    if (!session || !session->ready)
        return;
    snprintf(ret->version, sizeof ret->version, "%s", SSL_get_version(session->ssl));
    snprintf(ret->cipher, sizeof ret->cipher, "%s", SSL_get_cipher_name(session->ssl));
    ret->resumed = tls_session_is_resumed(session);
    certificate = SSL_get0_peer_certificate(session->ssl);
    ret->has_certificate =
        certificate && ASN1_TIME_diff(&ret->certificate_days, &seconds, NULL, X509_get0_notAfter(certificate)) == 1;
    ERR_clear_error();
}

int tls_session_peer_closed(const struct tls_session *session)
{
    return session->peer_closed;
}

void tls_session_close(struct tls_session *session)
{
    if (session->closing || session->error || !session->ready)
        return;
    session->closing = true;
    ERR_clear_error();
    SSL_shutdown(session->ssl);
    ERR_clear_error();
}
