/* tls/tls_bytes.h - internal: bytes that grow at the end up to a limit and are taken from the front. */
#ifndef TLS_BYTES_H
#define TLS_BYTES_H

#include <stddef.h>

struct tls_bytes {
    char *data;
    size_t size, capacity;
};

int tls_bytes_append(struct tls_bytes *bytes, const void *data, size_t size, size_t limit); /* 0, -ENOBUFS, -ENOMEM */
void tls_bytes_free(struct tls_bytes *bytes);                                               /* empty again */

#endif
