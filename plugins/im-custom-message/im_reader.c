/* im-custom-message/im_reader.c - the host's side of a job: may it ask, and what does the answer say.
 *
 * An event is handed on as a small record, the same for all readers of an answer: kind, code, size, bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "im.h"

#define TAG_ASK 1u
#define TAG_RESUME 2u
#define BATCH_MAX 8192u /* bytes of text in one write: a job is told to wait in time */

struct record {
    uint32_t kind, code, size;
};

static const char *words_of(const struct im *im, uint32_t error)
{
    switch (error) {
    case UMBEL_ERROR_RATE:
    case UMBEL_ERROR_BUSY:
    case UMBEL_ERROR_QUOTA:
        return im->text_busy;
    default:
        return im->text_failed;
    }
}

static void failed(struct im_job *job, uint32_t error)
{
    im_job_end(job, IM_FAILED, words_of(job->im, error));
}

static void ask(struct im_job *job)
{
    struct im *im = job->im;
    struct umbel_out messages = {0};

    umbel_out_question(&messages, job->question, job->question_size);
    struct umbel_request request = {.struct_size = sizeof request,
                                    .flags = UMBEL_REQUEST_MEMORY,
                                    .session = job->session,
                                    .messages = messages.data,
                                    .messages_size = messages.size};
    int r = messages.failed ? messages.failed : im->real->ask(job->client, TAG_ASK, &request);
    umbel_out_free(&messages);
    if (r < 0)
        failed(job, UMBEL_ERROR_BUSY);
}

static void on_authorized(void *data, uint32_t error, const char *text)
{
    struct im_job *job = data;
    struct im *im = job->im;

    if (error)
        im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "bot %s may not use app %s: %s", job->bot->title, job->bot->app, text);
    if (error)
        failed(job, error);
    else if (*job->stream && im->real->resume(job->client, TAG_RESUME, job->stream, job->answer.base) < 0)
        failed(job, UMBEL_ERROR_INTERNAL);
    else if (!*job->stream)
        ask(job);
}

static int on_began(void *data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct im_job *job = data;

    (void)tag;
    job->phase = IM_READING;
    job->reader = reader;
    snprintf(job->stream, sizeof job->stream, "%s", stream->id);
    *ret_options = (struct umbel_reader_options){.reader_data = job, .max_text = BATCH_MAX, .max_batch = BATCH_MAX};
    im_keep_save(job);
    im_mirror_asked(job);
    if (job->stop_wanted)
        im_job_stop(job);
    return 0;
}

static void on_refused(void *data, uint64_t tag, uint32_t error, const char *text)
{
    struct im_job *job = data;
    struct im *im = job->im;

    if (tag == 0)
        return; /* a stop that came too late */
    if (tag == TAG_RESUME) { /* what was shown is all there will be */
        im->real->log(im->real, UMBEL_LOG_WARN, job->stream, "cannot be taken up again: %s", text);
        if (job->saved_size)
            im_answer_take(&job->answer, job->saved, job->saved_size);
        im_job_end(job, IM_INTERRUPTED, im->text_interrupted);
        return;
    }
    failed(job, error);
}

static int on_encode(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    struct record record = {event->kind, event->code, 0};

    (void)self;
    (void)variant;
    (void)reader_data;
    (void)stream;
    if (event->kind != UMBEL_EVENT_TEXT && event->kind != UMBEL_EVENT_ERROR)
        return 0;
    if (event->kind == UMBEL_EVENT_TEXT)
        record.size = (uint32_t)event->size;
    umbel_out_put(out, &record, sizeof record);
    umbel_out_put(out, event->data, record.size);
    return 0;
}

/* No memory for the text: the host forgets the reader, and the user is told that something is missing. */
static int lost(struct im_job *job)
{
    job->reader = NULL;
    im_job_end(job, IM_INTERRUPTED, job->im->text_interrupted);
    return -1;
}

static int on_write(void *reader_data, const void *bytes, size_t size, int last)
{
    struct im_job *job = reader_data;
    const char *at = bytes;
    struct record record;
    bool text = false;

    (void)last;
    for (; size >= sizeof record; size -= sizeof record + record.size, at += sizeof record + record.size) {
        memcpy(&record, at, sizeof record);
        if (record.kind == UMBEL_EVENT_ERROR)
            job->error = record.code;
        else if (im_answer_take(&job->answer, at + sizeof record, record.size) < 0)
            return lost(job);
        else
            text = true;
    }
    if (text && !last)
        im_job_text(job);
    job->reader_waits = im_answer_is_full(&job->answer);
    return job->reader_waits ? UMBEL_WRITE_FULL : UMBEL_WRITE_READY;
}

static void on_ended(void *reader_data, uint32_t verdict)
{
    struct im_job *job = reader_data;
    struct im *im = job->im;

    job->reader = NULL;
    job->reader_waits = false;
    switch (verdict) {
    case UMBEL_VERDICT_COMPLETE:
        im_job_end(job, IM_DONE, im->text_empty);
        return;
    case UMBEL_VERDICT_CANCELLED:
        im_job_end(job, IM_STOPPED, im->text_stopped);
        return;
    case 0: /* its memory was taken for others while we lagged */
        im_job_end(job, IM_INTERRUPTED, im->text_interrupted);
        return;
    default:
        im_job_end(job, IM_FAILED, words_of(im, job->error));
        return;
    }
}

void im_reader_resume(struct im_job *job)
{
    if (!job->reader || !job->reader_waits || im_answer_is_full(&job->answer))
        return;
    job->reader_waits = false;
    job->im->real->reader_ready(job->reader);
}

const struct umbel_codec im_reader_codec = {.struct_size = sizeof im_reader_codec,
                                            .authorized = on_authorized,
                                            .began = on_began,
                                            .refused = on_refused,
                                            .encode = on_encode,
                                            .write = on_write,
                                            .ended = on_ended};
