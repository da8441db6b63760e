#include "core/tls/tls_context.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Instead of OpenSSL's own, which asks on the terminal and waits. */
static int no_passphrase(char *bytes, int size, int writing, void *owner)
{
    (void)bytes;
    (void)size;
    (void)writing;
    *(bool *)owner = true;
    return -1;
}

/* OpenSSL says of a missing file only that it is missing somewhere. */
static int check_readable(const char *option, const char *path, struct why *why)
{
    return access(path, R_OK) == 0 ? 0 : why_set(why, -EINVAL, "%s %s cannot be read: %s", option, path, strerror(errno));
}

static int load_identity(SSL_CTX *ssl, const struct tls_files *files, struct why *why)
{
    bool encrypted = false;
    int r;

    if (!files->cert)
        return 0;
    if ((r = check_readable("client_cert", files->cert, why)) < 0 || (r = check_readable("client_key", files->key, why)) < 0)
        return r;
    SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, &encrypted);
    if (SSL_CTX_use_certificate_chain_file(ssl, files->cert) != 1)
        return why_set(why, -EINVAL, "client_cert %s: no certificate can be read from it (%s): give a PEM file", files->cert,
                       tls_words("unknown reason"));
    if (SSL_CTX_use_PrivateKey_file(ssl, files->key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(ssl) == 1) {
        SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL);
        return 0;
    }
    if (encrypted) {
        ERR_clear_error();
        return why_set(why, -EINVAL, "client_key %s has a passphrase, which nobody can be asked for: give one without",
                       files->key);
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
        ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH) {
        ERR_clear_error();
        return why_set(why, -EINVAL, "client_key %s is not the key of client_cert %s: give the two that belong together",
                       files->key, files->cert);
    }
    return why_set(why, -EINVAL, "client_key %s: no key can be read from it (%s): give a PEM file", files->key,
                   tls_words("unknown reason"));
}

int tls_context_create(const struct tls_files *files, struct tls_context **ret_context, struct why *why)
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
    r = load_authorities(context->ssl, files->ca, why);
    if (r == 0)
        r = load_identity(context->ssl, files, why);
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
