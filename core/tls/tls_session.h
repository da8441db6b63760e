/* tls/tls_session.h - TLS as bytes in, bytes out: no sockets, no loop.  OpenSSL over a BIO that reads the caller's buffer in
 * place and appends to the session's output.  One thread. */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <stddef.h>

#include "core/base/why.h"

struct tls_context; /* client settings: verification on, TLS >= 1.2, CA file, session cache */
struct tls_session;

/* tls_context_create - ca_file NULL: the system's certificates.  The context outlives its sessions.  0 or -errno with words. */
int tls_context_create(const char *ca_file, struct tls_context **ret_context, struct why *why);
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
int tls_session_peer_closed(
    const struct tls_session *session);              /* close_notify came: only then the end of the connection is an honest end */
void tls_session_close(struct tls_session *session); /* queues close_notify into the output */

#endif
