#include "core/access/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"

#define RETRY_MS 1000u /* after a failure; also how long a full pipe is waited for */

struct access_log {
    pthread_mutex_t lock;
    pthread_cond_t work, ended;
    /* under the lock */
    char *waiting;
    size_t waiting_size, old_size; /* old_size: bytes that belong to the file before a reopen */
    bool reopen, stop, has_ended;
    uint64_t dropped, written;
    int users; /* the owner and the thread: the last one frees */
    /* the thread's */
    char *writing;
    int fd;
    bool complained, torn; /* torn: the file ends within a line */
    uint64_t retry_ns;
    pthread_t thread;
    char path[];
};

static int open_file(const char *path)
{
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    /* without waiting: a pipe that nobody reads is an error, not a daemon that does not start */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

    return fd == -1 ? -errno : fd;
}

static void close_file(struct access_log *log)
{
    if (log->fd != STDOUT_FILENO)
        fd_close(&log->fd);
    log->fd = -1;
}

static void log_free(struct access_log *log)
{
    close_file(log);
    pthread_cond_destroy(&log->work);
    pthread_cond_destroy(&log->ended);
    pthread_mutex_destroy(&log->lock);
    free(log->waiting);
    free(log->writing);
    free(log);
}

/* Called with the lock held. */
static void leave(struct access_log *log)
{
    bool last = --log->users == 0;

    pthread_mutex_unlock(&log->lock);
    if (last)
        log_free(log);
}

static uint64_t count_lines(const char *data, size_t size)
{
    uint64_t lines = 0;

    for (const char *end = data + size, *at = data; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        lines++;
    return lines;
}

static void lose(struct access_log *log, const char *data, size_t size)
{
    pthread_mutex_lock(&log->lock);
    log->dropped += count_lines(data, size);
    pthread_mutex_unlock(&log->lock);
}

/* The operator hears of it once. */
static void complain(struct access_log *log, int error)
{
    if (!log->complained)
        log_error("access log %s: %s; lines are dropped and counted, it is tried again each second", log->path, strerror(error));
    log->complained = true;
    log->retry_ns = clock_now_ns() + RETRY_MS * CLOCK_MS;
}

static bool wait_for_room(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};

    return poll(&wanted, 1, (int)RETRY_MS) == 1 && wanted.revents & POLLOUT;
}

static int write_all(struct access_log *log, const char *data, size_t size, size_t *ret_done)
{
    while (*ret_done < size) {
        ssize_t n = write(log->fd, data + *ret_done, size - *ret_done);
        if (n >= 0)
            *ret_done += (size_t)n;
        else if (errno == EAGAIN && wait_for_room(log->fd))
            continue;
        else if (errno != EINTR)
            return errno;
    }
    return 0;
}

static void put(struct access_log *log, const char *data, size_t size)
{
    size_t done = 0;
    int error = 0;

    if (size == 0)
        return;
    if (clock_now_ns() < log->retry_ns) {
        lose(log, data, size);
        return;
    }
    if (log->fd == -1) {
        log->fd = open_file(log->path);
        error = log->fd < 0 ? -log->fd : 0;
        if (error)
            log->fd = -1;
    }
    if (!error && log->torn) {
        size_t ended = 0;
        error = write_all(log, "\n", 1, &ended);
        log->torn = ended == 0;
    }
    if (!error)
        error = write_all(log, data, size, &done);
    log->torn = log->torn || (done > 0 && data[done - 1] != '\n');
    if (error) {
        complain(log, error);
        lose(log, data + done, size - done);
    } else if (log->complained) {
        log->complained = false;
        log_info("access log %s is written again", log->path);
    }
    pthread_mutex_lock(&log->lock);
    log->written += done;
    pthread_mutex_unlock(&log->lock);
}

/* One round: all that waits, with a change of files in between. */
static void write_out(struct access_log *log)
{
    char *data;
    size_t size, old;
    bool reopen;

    pthread_mutex_lock(&log->lock);
    data = log->waiting;
    log->waiting = log->writing;
    log->writing = data;
    size = log->waiting_size;
    reopen = log->reopen;
    old = reopen ? log->old_size : size;
    log->waiting_size = log->old_size = 0;
    log->reopen = false;
    pthread_mutex_unlock(&log->lock);
    put(log, data, old);
    if (!reopen)
        return;
    close_file(log);
    log->torn = false;
    log->retry_ns = 0;

    int fd = open_file(log->path); /* at once: logrotate expects it, and who looks finds it */
    log->fd = fd < 0 ? -1 : fd;
    put(log, data + old, size - old);
}

static void *run(void *argument)
{
    struct access_log *log = argument;

    pthread_mutex_lock(&log->lock);
    for (;;) {
        while (!log->stop && log->waiting_size == 0 && !log->reopen)
            pthread_cond_wait(&log->work, &log->lock);
        if (log->waiting_size == 0 && !log->reopen)
            break;
        pthread_mutex_unlock(&log->lock);
        write_out(log);
        pthread_mutex_lock(&log->lock);
    }
    log->has_ended = true;
    pthread_cond_signal(&log->ended);
    leave(log);
    return NULL;
}

int access_log_open(const char *path, struct access_log **ret_log, struct why *why)
{
    struct access_log *log = calloc(1, sizeof *log + strlen(path) + 1);
    pthread_condattr_t monotonic;
    int r;

    if (!log)
        return why_set(why, -ENOMEM, "no memory for the access log");
    memcpy(log->path, path, strlen(path));
    log->fd = -1;
    log->users = 1;
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    log->waiting = malloc(ACCESS_LOG_BUFFER);
    log->writing = malloc(ACCESS_LOG_BUFFER);
    if (!log->waiting || !log->writing) {
        r = why_set(why, -ENOMEM, "no memory for the access log");
        goto fail;
    }
    r = open_file(path);
    if (r < 0) {
        why_errno(why, -r, "cannot open the access log %s", path);
        goto fail;
    }
    log->fd = r;
    log->users = 2;
    r = -pthread_create(&log->thread, NULL, run, log);
    if (r < 0) {
        why_errno(why, -r, "cannot start the access log's thread");
        goto fail;
    }
    *ret_log = log;
    return 0;
fail:
    log_free(log);
    return r;
}

void access_log_write(struct access_log *log, const char *line, size_t size)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    if (size + 1 > ACCESS_LOG_BUFFER - log->waiting_size) {
        log->dropped++;
    } else {
        memcpy(log->waiting + log->waiting_size, line, size);
        log->waiting_size += size;
        log->waiting[log->waiting_size++] = '\n';
        pthread_cond_signal(&log->work);
    }
    pthread_mutex_unlock(&log->lock);
}

void access_log_reopen(struct access_log *log)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    if (!log->reopen)
        log->old_size = log->waiting_size;
    log->reopen = true;
    pthread_cond_signal(&log->work);
    pthread_mutex_unlock(&log->lock);
}

uint64_t access_log_dropped(struct access_log *log)
{
    uint64_t dropped = 0;

    if (log) {
        pthread_mutex_lock(&log->lock);
        dropped = log->dropped;
        pthread_mutex_unlock(&log->lock);
    }
    return dropped;
}

uint64_t access_log_written(struct access_log *log)
{
    uint64_t written = 0;

    if (log) {
        pthread_mutex_lock(&log->lock);
        written = log->written;
        pthread_mutex_unlock(&log->lock);
    }
    return written;
}

void access_log_close(struct access_log *log)
{
    bool ended;

    if (!log)
        return;
    uint64_t until_ns = clock_now_ns() + ACCESS_LOG_CLOSE_MS * CLOCK_MS;
    struct timespec until = {(time_t)(until_ns / CLOCK_S), (long)(until_ns % CLOCK_S)};

    pthread_mutex_lock(&log->lock);
    pthread_t thread = log->thread;
    log->stop = true;
    pthread_cond_signal(&log->work);
    while (!log->has_ended && pthread_cond_timedwait(&log->ended, &log->lock, &until) == 0)
        continue;
    ended = log->has_ended;
    if (!ended)
        log_error("access log %s: the disk does not take the last lines", log->path);
    leave(log);
    if (ended)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread); /* it cleans up behind itself */
}
