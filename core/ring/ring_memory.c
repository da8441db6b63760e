#include "core/ring/ring_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"

/* The order matters: FUTURE_WRITE forbids new writable mappings and leaves the one made before it alone. */
static int create(const char *name, size_t size, int seals, struct ring_memory *ret_memory, struct why *why)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *base;
    int r, fd;

    if (size == 0 || size > (size_t)INT64_MAX - page)
        return why_set(why, -EINVAL, "shared memory %s: %zu is not a possible size", name, size);
    size = (size + page - 1) / page * page;
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd == -1)
        return why_errno(why, errno, "shared memory %s", name);
    if (ftruncate(fd, (off_t)size) == -1) {
        r = why_errno(why, errno, "shared memory %s of %zu bytes", name, size);
        goto fail;
    }
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        r = why_errno(why, errno, "mapping %s of %zu bytes", name, size);
        goto fail;
    }
    if (fcntl(fd, F_ADD_SEALS, seals) == -1) {
        r = why_errno(why, errno, "sealing %s", name);
        munmap(base, size);
        goto fail;
    }
    *ret_memory = (struct ring_memory){.base = base, .size = size, .fd = fd};
    return 0;
fail:
    close(fd);
    return r;
}

int ring_memory_create(const char *name, size_t size, struct ring_memory *ret_memory, struct why *why)
{
    return create(name, size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL, ret_memory, why);
}

int ring_memory_create_shared(const char *name, size_t size, struct ring_memory *ret_memory, struct why *why)
{
    return create(name, size, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, ret_memory, why);
}

int ring_memory_map(int fd, size_t min_size, int writable, struct ring_memory *ret_memory, struct why *why)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat status;
    void *base;

    if (fstat(fd, &status) == -1)
        return why_errno(why, errno, "shared memory on descriptor %d", fd);
    /* Memory that can shrink under us would end this process by SIGBUS. */
    if (seals == -1 || !(seals & F_SEAL_SHRINK))
        return why_set(why, -EPROTO, "descriptor %d is not shared memory sealed against shrinking", fd);
    if (status.st_size <= 0 || (uintmax_t)status.st_size < min_size)
        return why_set(why, -EPROTO, "shared memory has %jd bytes, at least %zu are needed", (intmax_t)status.st_size, min_size);
    base = mmap(NULL, (size_t)status.st_size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        return why_errno(why, errno, "mapping shared memory of %jd bytes%s", (intmax_t)status.st_size, writable ? " writable" : "");
    *ret_memory = (struct ring_memory){.base = base, .size = (size_t)status.st_size, .fd = -1};
    return 0;
}

void ring_memory_free(struct ring_memory *memory)
{
    if (memory->base)
        munmap(memory->base, memory->size);
    fd_close(&memory->fd);
    memory->base = NULL;
    memory->size = 0;
}
