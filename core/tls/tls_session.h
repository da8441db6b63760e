/* tls/tls_session.h - TLS as bytes in, bytes out: no sockets, no loop.  OpenSSL over a BIO that reads the caller's buffer in
 * place and appends to the session's output.  One thread. */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/why.h"

struct tls_context; /* client settings: verification on, TLS >= 1.2, CA file, session cache */
struct tls_session;

struct tls_files {  /* PEM; read by tls_context_create and not needed afterwards */
    const char *ca; /* NULL: the system's certificates */
    const char
        *cert; /* what we show a server that asks, with the certificates between it and its authority behind it; NULL: nothing */
    const char *key; /* of cert, without a passphrase */
};

/* tls_context_create - the context outlives its sessions.  -EINVAL with words that name the file and the option (ca_file,
 * client_cert, client_key) when one is missing, is not what it should be, or does not belong to the other; -ENOMEM. */
int tls_context_create(const struct tls_files *files, struct tls_context **ret_context, struct why *why);
void tls_context_free(struct tls_context *context);

/* tls_session_create - one client connection; host is checked against the certificate and sent as SNI (not for an address).  Call
 * tls_session_feed with no bytes to begin. */
int tls_session_create(struct tls_context *context, const char *host, struct tls_session **ret_session, struct why *why);
void tls_session_free(struct tls_session *session);

/* tls_session_feed - network bytes in; calls plain(owner, bytes, size) for decrypted bytes; consumes everything.  Afterwards send
 * what tls_session_output holds, also after an error: the peer is told by an alert.  The session may be freed inside plain; then
 * -ECANCELED is returned and the session is gone.  0; 1: the peer said close_notify; -EPROTO with words (certificate trouble
 * names the reason). */
int tls_session_feed(struct tls_session *session, const char *bytes, size_t size,
                     void (*plain)(void *owner, const char *bytes, size_t size), void *owner, struct why *why);

/* tls_session_write - encrypts; may be called before the handshake is done: then it waits inside (at most 20 MiB, beyond that
 * -ENOBUFS). -EPIPE after tls_session_close or an error. */
int tls_session_write(struct tls_session *session, const void *bytes, size_t size, struct why *why);

/* tls_session_output - what is to be sent; tls_session_sent forgets it.  Bound: 64 MiB unsent, then the session fails. */
const char *tls_session_output(struct tls_session *session, size_t *ret_size);
void tls_session_sent(struct tls_session *session);

int tls_session_is_ready(const struct tls_session *session);   /* handshake done */
int tls_session_is_resumed(const struct tls_session *session); /* ... and it was a short one */

/* What a finished handshake has agreed on. */
struct tls_facts {
    char version[16], cipher[64]; /* "" none yet */
    bool resumed;
    bool has_certificate;
    int certificate_days; /* until it expires, negative: since */
};

/* tls_session_facts - fills *ret; all empty when there is no session (NULL) or no handshake yet. */
void tls_session_facts(const struct tls_session *session, struct tls_facts *ret);

int tls_session_peer_closed(
    const struct tls_session *session);              /* close_notify came: only then the end of the connection is an honest end */
void tls_session_close(struct tls_session *session); /* queues close_notify into the output */

#endif
