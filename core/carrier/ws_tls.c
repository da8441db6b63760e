/* carrier/ws_tls.c - certificate and key of a listening TLS context, loaded whole or not at all. */
#include "core/carrier/ws_carrier.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

static int refuse(struct umbel_ws *ws, const char *what, const char *path)
{
    char words[256];
    unsigned long error = ERR_get_error();

    ERR_error_string_n(error, words, sizeof words);
    ERR_clear_error();
    ws_log(ws, UMBEL_LOG_ERROR, "cannot use the TLS %s %s: %s", what, path, error ? words : "unreadable");
    return -EINVAL;
}

int ws_tls_load(struct umbel_ws *ws, struct ssl_ctx_st *context, const char *cert, const char *key)
{
    int r = 0;

    /* A context of its own is the trial: OpenSSL checks there that chain and key are whole and belong together. */
    SSL_CTX *trial = SSL_CTX_new(TLS_server_method());
    if (!trial)
        return -ENOMEM;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(trial, cert) != 1)
        r = refuse(ws, "certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(trial, key, SSL_FILETYPE_PEM) != 1)
        r = refuse(ws, "key", key);
    else {
        STACK_OF(X509) *chain = NULL;
        SSL_CTX_get0_chain_certs(trial, &chain);
        /* One call, so that no handshake ever sees the new certificate with the old key.  Connections that exist keep what they have. */
        if (SSL_CTX_use_cert_and_key(context, SSL_CTX_get0_certificate(trial), SSL_CTX_get0_privatekey(trial), chain, 1) != 1)
            r = refuse(ws, "certificate", cert);
    }
    SSL_CTX_free(trial);
    return r;
}
