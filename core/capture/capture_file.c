#include "core/capture/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fd.h"
#include "core/base/log.h"

struct capture_file {
    pthread_mutex_t lock;
    pthread_cond_t work, ended;
    /* under the lock */
    char *waiting;
    size_t waiting_size;
    enum capture_state state;
    bool stop, has_ended;
    int users; /* the owner and the thread: the last one frees */
    /* the owner's */
    uint64_t taken, max_bytes;
    pthread_t thread;
    /* the thread's */
    char *writing;
    int fd;
    char path[];
};

static void file_free(struct capture_file *file)
{
    fd_close(&file->fd);
    pthread_cond_destroy(&file->work);
    pthread_cond_destroy(&file->ended);
    pthread_mutex_destroy(&file->lock);
    free(file->waiting);
    free(file->writing);
    free(file);
}

/* Called with the lock held. */
static void leave(struct capture_file *file)
{
    bool last = --file->users == 0;

    pthread_mutex_unlock(&file->lock);
    if (last)
        file_free(file);
}

static void write_out(struct capture_file *file, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(file->fd, data, size);

        if (n >= 0) {
            data += n;
            size -= (size_t)n;
        } else if (errno != EINTR) {
            log_error("capture %s: %s", file->path, strerror(errno));
            pthread_mutex_lock(&file->lock);
            file->state = CAPTURE_BROKEN;
            pthread_mutex_unlock(&file->lock);
            return;
        }
    }
}

static void *run(void *argument)
{
    struct capture_file *file = argument;

    pthread_mutex_lock(&file->lock);
    for (;;) {
        while (!file->stop && file->waiting_size == 0)
            pthread_cond_wait(&file->work, &file->lock);
        if (file->waiting_size == 0)
            break;
        char *data = file->waiting;
        size_t size = file->waiting_size;
        bool broken = file->state == CAPTURE_BROKEN;
        file->waiting = file->writing;
        file->writing = data;
        file->waiting_size = 0;
        pthread_mutex_unlock(&file->lock);
        if (!broken)
            write_out(file, data, size);
        pthread_mutex_lock(&file->lock);
    }
    file->has_ended = true;
    pthread_cond_signal(&file->ended);
    leave(file);
    return NULL;
}

static void setup(struct capture_file *file)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&file->lock, NULL);
    pthread_cond_init(&file->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&file->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int capture_file_open(const char *path, uint64_t max_bytes, struct capture_file **ret_file, struct why *why)
{
    struct capture_file *file = calloc(1, sizeof *file + strlen(path) + 1);
    int r;

    if (!file)
        return why_set(why, -ENOMEM, "no memory for a capture");
    memcpy(file->path, path, strlen(path));
    file->fd = -1;
    file->users = 1;
    file->max_bytes = max_bytes;
    setup(file);
    file->waiting = malloc(CAPTURE_BUFFER);
    file->writing = malloc(CAPTURE_BUFFER);
    if (!file->waiting || !file->writing) {
        r = why_set(why, -ENOMEM, "no memory for a capture");
        goto fail;
    }
    file->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd == -1) {
        r = why_errno(why, errno, "cannot make the file %s", path);
        goto fail;
    }
    capture_write_head(file->waiting);
    file->waiting_size = file->taken = CAPTURE_FILE_HEAD;
    file->users = 2;
    r = -pthread_create(&file->thread, NULL, run, file);
    if (r < 0) {
        unlink(path);
        why_errno(why, -r, "cannot start the capture's thread");
        goto fail;
    }
    *ret_file = file;
    return 0;
fail:
    file_free(file);
    return r;
}

static bool put(struct capture_file *file, const struct capture_record *record, uint64_t max_bytes, bool last)
{
    size_t size = CAPTURE_RECORD_HEAD + record->payload.size;
    char head[CAPTURE_RECORD_HEAD];
    bool taken = false;

    capture_write_record_head(record, head);
    pthread_mutex_lock(&file->lock);
    if (file->state == CAPTURE_TAKES && size > max_bytes - file->taken)
        file->state = CAPTURE_FULL;
    else if (file->state == CAPTURE_TAKES && size > CAPTURE_BUFFER - CAPTURE_STOP_ROOM - file->waiting_size)
        file->state = CAPTURE_SLOW;
    if (file->state == CAPTURE_TAKES || (last && size <= CAPTURE_BUFFER - file->waiting_size)) {
        memcpy(file->waiting + file->waiting_size, head, sizeof head);
        memcpy(file->waiting + file->waiting_size + sizeof head, record->payload.data, record->payload.size);
        file->waiting_size += size;
        file->taken += size;
        taken = true;
        pthread_cond_signal(&file->work);
    }
    pthread_mutex_unlock(&file->lock);
    return taken;
}

bool capture_file_put(struct capture_file *file, const struct capture_record *record)
{
    return put(file, record, file->max_bytes - CAPTURE_STOP_ROOM, false);
}

void capture_file_put_last(struct capture_file *file, const struct capture_record *record)
{
    put(file, record, file->max_bytes, true);
}

enum capture_state capture_file_state(struct capture_file *file)
{
    pthread_mutex_lock(&file->lock);
    enum capture_state state = file->state;
    pthread_mutex_unlock(&file->lock);
    return state;
}

const char *capture_state_text(enum capture_state state)
{
    static const char *const texts[] = {"", "the file is full", "the disk is slower than the services", "the disk refuses"};

    return texts[state];
}

uint64_t capture_file_bytes(const struct capture_file *file)
{
    return file->taken;
}

void capture_file_stop(struct capture_file *file)
{
    pthread_mutex_lock(&file->lock);
    file->stop = true;
    pthread_cond_signal(&file->work);
    pthread_mutex_unlock(&file->lock);
}

bool capture_file_is_written(struct capture_file *file)
{
    pthread_mutex_lock(&file->lock);
    bool ended = file->has_ended;
    pthread_mutex_unlock(&file->lock);
    return ended;
}

void capture_file_close(struct capture_file *file)
{
    bool ended;

    if (!file)
        return;
    uint64_t until_ns = clock_now_ns() + CAPTURE_CLOSE_MS * CLOCK_MS;
    struct timespec until = {(time_t)(until_ns / CLOCK_S), (long)(until_ns % CLOCK_S)};

    pthread_mutex_lock(&file->lock);
    pthread_t thread = file->thread;
    file->stop = true;
    pthread_cond_signal(&file->work);
    while (!file->has_ended && pthread_cond_timedwait(&file->ended, &file->lock, &until) == 0)
        continue;
    ended = file->has_ended;
    if (!ended)
        log_error("capture %s: the disk does not take the last records", file->path);
    leave(file);
    if (ended)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread); /* it cleans up behind itself */
}
