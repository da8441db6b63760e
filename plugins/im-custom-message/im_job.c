/* im-custom-message/im_job.c - one answer to one peer, from the question until nothing more is to be sent. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "im.h"

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct im_job *job = arg;

    (void)fd;
    (void)what;
    job->timer_ns = 0;
    if (job->answer.over && !job->call)
        im_job_finished(job);
    else
        im_job_look(job);
}

static void set_timer(struct im_job *job, uint64_t when_ns)
{
    uint64_t now_ns = im_now_ns(), wait_us = when_ns > now_ns ? (when_ns - now_ns + 999) / 1000 : 0;
    struct timeval tv = {(time_t)(wait_us / 1000000), (suseconds_t)(wait_us % 1000000)};

    job->timer_ns = when_ns ? when_ns : 1;
    event_add(job->timer, &tv);
}

static void clear_timer(struct im_job *job)
{
    event_del(job->timer);
    job->timer_ns = 0;
}

struct im_job *im_job_new(struct im_bot *bot, const char *user, const char *group)
{
    struct im *im = bot->im;
    struct im_job *job = im->job_count < im->max_answers ? calloc(1, sizeof *job) : NULL;

    if (!job)
        return NULL;
    job->timer = evtimer_new(im->real->base, on_timer, job);
    if (!job->timer) {
        free(job);
        return NULL;
    }
    job->im = im;
    job->bot = bot;
    snprintf(job->id, sizeof job->id, "%016llx", (unsigned long long)im_random(im));
    snprintf(job->user, sizeof job->user, "%s", user);
    snprintf(job->group, sizeof job->group, "%s", group);
    im_session(bot, user, group, job->session);
    im_answer_init(&job->answer, bot->mode, *group != 0, im->interval_ms, im->give_up_ms, im_random(im));
    job->answer.refused_words = im->text_refused;
    TAILQ_INSERT_TAIL(&im->jobs, job, link);
    im->job_count++;
    return job;
}

void im_job_free(struct im_job *job)
{
    struct im *im = job->im;

    if (job->call)
        umbel_rest_cancel(job->call);
    if (job->client)
        im->real->client_close(job->client); /* its reader goes with it */
    else if (job->reader)
        im->real->reader_leave(job->reader);
    if (job->mirrored)
        TAILQ_REMOVE(&job->bot->mirrors, job, in_mirrors);
    im_turns_remove(&im->turns, &job->turn);
    TAILQ_REMOVE(&im->jobs, job, link);
    im->job_count--;
    event_free(job->timer);
    im_answer_free(&job->answer);
    free(job->question);
    free(job->saved);
    free(job);
}

void im_job_start(struct im_job *job)
{
    struct im *im = job->im;
    struct umbel_credential credential = {.kind = UMBEL_CREDENTIAL_APP, .value = job->bot->app, .size = strlen(job->bot->app)};
    char peer[3 * IM_ID_MAX];

    job->phase = IM_ASKING;
    snprintf(peer, sizeof peer, "%s/%s", *job->group ? job->group : job->bot->title, job->user);
    job->client = im->real->client_open(im->real, &im_reader_codec, im, job, peer);
    if (job->client)
        im->real->authorize(job->client, &credential, 1);
    else
        im_job_end(job, IM_FAILED, im->text_busy);
}

void im_job_stop(struct im_job *job)
{
    struct im *im = job->im;

    switch (job->phase) {
    case IM_READING:
        im->real->stop(job->client ? job->client : job->bot->watcher, 0, job->stream);
        return;
    case IM_ASKING: /* nothing to stop yet: it is stopped as soon as it begins */
        job->stop_wanted = true;
        return;
    default:
        return; /* what remains is on its way already */
    }
}

/* All text that will come has come.  Whatever was held for its question is decided. */
static void end_phase(struct im_job *job)
{
    bool asking = job->phase == IM_ASKING;

    job->phase = IM_ENDED;
    if (asking)
        im_mirror_asked(job);
}

void im_job_end(struct im_job *job, enum im_ending ending, const char *words)
{
    end_phase(job);
    im_answer_end(&job->answer, ending, words);
    clear_timer(job); /* the end may go sooner than the next snapshot */
    im_job_look(job);
}

void im_job_text(struct im_job *job)
{
    uint64_t later = job->answer.due_ns > job->answer.not_before_ns ? job->answer.due_ns : job->answer.not_before_ns;

    if (job->timer_ns && job->timer_ns <= later && im_now_ns() < later)
        return;
    im_job_look(job);
}

/* The text that is not wanted any more is not read on. */
static void leave_reader(struct im_job *job)
{
    if (job->reader)
        job->im->real->reader_leave(job->reader);
    job->reader = NULL;
    if (job->phase == IM_READING)
        job->phase = IM_ENDED;
}

void im_job_interrupt(struct im_job *job)
{
    if (job->answer.ending != IM_RUNNING)
        return;
    leave_reader(job);
    im_job_end(job, IM_INTERRUPTED, job->im->text_interrupted);
}

void im_job_look(struct im_job *job)
{
    struct im_step step;
    uint64_t when_ns;

    if (job->answer.deaf)
        leave_reader(job);
    if (job->call || job->turn.waits || job->held)
        return;
    if (job->answer.over) {
        set_timer(job, 0); /* who called may still stand on the job */
        return;
    }
    if (im_answer_next(&job->answer, im_now_ns(), &step, &when_ns)) {
        im_turns_add(&job->im->turns, &job->turn, im_answer_is_first(&job->answer));
        im_calls_pump(job->im);
    } else if (job->answer.over) {
        set_timer(job, 0);
    } else if (when_ns != UINT64_MAX) {
        set_timer(job, when_ns);
    }
}

void im_job_look_at(struct im_job *job, uint64_t when_ns)
{
    set_timer(job, when_ns);
}

void im_job_finished(struct im_job *job)
{
    struct im *im = job->im;
    struct im_chat *chat = job->chat;

    im_count(im, job->answer.gave_up ? "im_answers_given_up" : "im_answers_finished");
    if (job->answer.gave_up)
        im->real->log(im->real, UMBEL_LOG_WARN, *job->stream ? job->stream : NULL, "given up: the chat service did not take it (%s)",
                      im_class_name(job->last_class));
    if (job->answer.abandoned)
        im->real->count(im->real, "im_parts_abandoned", job->answer.abandoned);
    if (job->mirrored && job->answer.gave_up && job->last_class == IM_ACCOUNT)
        im_mirror_stranger(job);
    end_phase(job); /* given up before it was asked */
    im_keep_forget(job);
    if (chat)
        im_chat_job_done(chat, job);
    else
        im_job_free(job);
    im_check_drained(im);
}

/* What another process could not know of: a call without its outcome, a question without its stream. */
static bool is_pending(const struct im *im)
{
    struct im_job *job;

    TAILQ_FOREACH(job, &im->jobs, link)
        if (job->call || job->phase == IM_ASKING)
            return true;
    return im->command != NULL;
}

void im_check_drained(struct im *im)
{
    if (im->drained || !im->http_drained || !(im->draining || im->leaving))
        return;
    if (im->leaving ? is_pending(im) : im->job_count > 0)
        return;
    im->drained = true;
    im->real->drained(im->real);
}
