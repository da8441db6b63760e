/* tls/tls_context.h - internal to the module: the settings all client sessions share, and the sessions kept for resumption.
 * Bound: TLS_CACHE_MAX hosts, the least recently stored goes first. */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "core/tls/tls_session.h"

#define TLS_CACHE_MAX 128u
#define TLS_HOST_MAX 255u /* bytes of a host name */

struct tls_cached {
    char *host; /* NULL: free */
    SSL_SESSION *session;
    uint64_t age; /* larger: stored later */
};

struct tls_context {
    SSL_CTX *ssl;
    uint64_t stored;
    struct tls_cached cache[TLS_CACHE_MAX];
};

/* tls_context_keep - takes the reference to session.  Replaces what is kept for the same host. */
void tls_context_keep(struct tls_context *context, const char *host, SSL_SESSION *session);

/* tls_context_resume - a session for host, or NULL.  The context keeps its reference. */
SSL_SESSION *tls_context_resume(struct tls_context *context, const char *host);
void tls_context_forget(struct tls_context *context, const char *host);

/* tls_new_session - what OpenSSL calls with a new session (tls_session.c knows whose it is). */
int tls_new_session(SSL *ssl, SSL_SESSION *session);

/* tls_words - the text of the oldest error in OpenSSL's queue, which is cleared; "" replaced by fallback. */
const char *tls_words(const char *fallback);

#endif
