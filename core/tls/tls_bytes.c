#include "core/tls/tls_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 1024u

int tls_bytes_append(struct tls_bytes *bytes, const void *data, size_t size, size_t limit)
{
    if (size > limit || bytes->size > limit - size)
        return -ENOBUFS;
    if (size > bytes->capacity - bytes->size) {
        size_t capacity = bytes->capacity * 2 > bytes->size + size ? bytes->capacity * 2 : bytes->size + size;
        char *more = realloc(bytes->data, capacity > CAPACITY_MIN ? capacity : CAPACITY_MIN);

        if (!more)
            return -ENOMEM;
        bytes->data = more;
        bytes->capacity = capacity > CAPACITY_MIN ? capacity : CAPACITY_MIN;
    }
    if (size > 0)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return 0;
}

void tls_bytes_free(struct tls_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct tls_bytes){0};
}
