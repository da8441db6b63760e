/* carrier/http_tls.c - the TLS context of a listening transport, loaded whole or not at all. */
#include "core/carrier/http_carrier.h"

#include <errno.h>
#include <openssl/err.h>

static int refuse(struct umbel_http *http, const char *what, const char *path)
{
    char words[256];
    unsigned long error = ERR_get_error();

    ERR_error_string_n(error, words, sizeof words);
    ERR_clear_error();
    http_log(http, UMBEL_LOG_ERROR, "cannot use the TLS %s %s: %s", what, path, error ? words : "unreadable");
    return -EINVAL;
}

/* Chunked mode needs HTTP/1.1: a client that offers more protocols gets this one, one that offers others only is refused. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size, const unsigned char *in,
                           unsigned in_size, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, in, in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

int http_tls_load(struct umbel_http *http, const char *cert, const char *key, SSL_CTX **ret_context)
{
    SSL_CTX *context;
    int r = 0;

    ERR_clear_error();
    context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return -ENOMEM;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* Without these a waiting client costs 10 KB more, and a full socket the whole batch again. */
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    if (SSL_CTX_use_certificate_chain_file(context, cert) != 1)
        r = refuse(http, "certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1)
        r = refuse(http, "key", key);
    if (r < 0) {
        SSL_CTX_free(context);
        return r;
    }
    *ret_context = context;
    return 0;
}
