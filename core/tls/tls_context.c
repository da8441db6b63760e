#include "core/tls/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

const char *tls_words(const char *fallback)
{
    unsigned long code = ERR_get_error();
    const char *words = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return words ? words : fallback;
}

static int load_authorities(SSL_CTX *ssl, const char *ca_file, struct why *why)
{
    if (ca_file) {
        if (SSL_CTX_load_verify_file(ssl, ca_file) != 1)
            return why_set(why, -EINVAL, "ca_file %s: no certificate can be read from it (%s): give a PEM file", ca_file,
                           tls_words("unknown reason"));
    } else if (SSL_CTX_set_default_verify_paths(ssl) != 1) {
        return why_set(why, -EINVAL, "the system's certificates cannot be loaded (%s): install ca-certificates or set ca_file",
                       tls_words("unknown reason"));
    }
    return 0;
}

int tls_context_create(const char *ca_file, struct tls_context **ret_context, struct why *why)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    struct tls_context *context = calloc(1, sizeof *context);
    int r;

    if (!context)
        return why_set(why, -ENOMEM, "no memory for TLS");
    ERR_clear_error();
    context->ssl = SSL_CTX_new(TLS_client_method());
    if (!context->ssl) {
        r = why_set(why, -ENOMEM, "TLS cannot be set up: %s", tls_words("no memory"));
        goto fail;
    }
    SSL_CTX_set_min_proto_version(context->ssl, TLS1_2_VERSION);
    SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context->ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_options(context->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_read_ahead(context->ssl, 1);
    SSL_CTX_set_alpn_protos(context->ssl, protocols, sizeof protocols - 1);
    SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ssl, tls_new_session);
    r = load_authorities(context->ssl, ca_file, why);
    if (r < 0)
        goto fail;
    *ret_context = context;
    return 0;
fail:
    tls_context_free(context);
    return r;
}

static void cached_free(struct tls_cached *cached)
{
    free(cached->host);
    SSL_SESSION_free(cached->session);
    *cached = (struct tls_cached){0};
}

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    for (size_t i = 0; i < TLS_CACHE_MAX; i++)
        cached_free(&context->cache[i]);
    SSL_CTX_free(context->ssl);
    free(context);
}

static struct tls_cached *find(struct tls_context *context, const char *host)
{
    for (size_t i = 0; i < TLS_CACHE_MAX; i++)
        if (context->cache[i].host && strcmp(context->cache[i].host, host) == 0)
            return &context->cache[i];
    return NULL;
}

void tls_context_keep(struct tls_context *context, const char *host, SSL_SESSION *session)
{
    struct tls_cached *place = find(context, host);

    if (!place) {
        place = &context->cache[0];
        for (size_t i = 1; i < TLS_CACHE_MAX && place->host; i++)
            if (!context->cache[i].host || context->cache[i].age < place->age)
                place = &context->cache[i];
    }
    cached_free(place);
    place->host = strdup(host);
    if (!place->host) {
        SSL_SESSION_free(session);
        return;
    }
    place->session = session;
    place->age = ++context->stored;
}

SSL_SESSION *tls_context_resume(struct tls_context *context, const char *host)
{
    struct tls_cached *cached = find(context, host);

    return cached && SSL_SESSION_is_resumable(cached->session) ? cached->session : NULL;
}

void tls_context_forget(struct tls_context *context, const char *host)
{
    struct tls_cached *cached = find(context, host);

    if (cached)
        cached_free(cached);
}
