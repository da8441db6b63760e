/* im-custom-message/im_chat.c - conversations: one answer at a time for (bot, user), one question that waits, the stop button. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "im.h"

static uint32_t bucket_of(const struct im_bot *bot, const char *user, const char *group)
{
    uint32_t hash = 2166136261u ^ (uint32_t)(bot - bot->im->bots);

    for (; *user; user++)
        hash = (hash ^ (unsigned char)*user) * 16777619u;
    for (; *group; group++)
        hash = (hash ^ (unsigned char)*group) * 16777619u;
    return hash % IM_CHATS_BUCKETS;
}

struct im_chat *im_chat_find(struct im_bot *bot, const char *user, const char *group)
{
    struct im_chat *chat = bot->im->chats[bucket_of(bot, user, group)];

    while (chat && (chat->bot != bot || strcmp(chat->user, user) != 0 || strcmp(chat->group, group) != 0))
        chat = chat->next;
    return chat;
}

struct im_chat *im_chat_get(struct im_bot *bot, const char *user, const char *group)
{
    struct im_chat *chat = im_chat_find(bot, user, group), **bucket;

    if (chat)
        return chat;
    chat = calloc(1, sizeof *chat);
    if (!chat)
        return NULL;
    chat->bot = bot;
    snprintf(chat->user, sizeof chat->user, "%s", user);
    snprintf(chat->group, sizeof chat->group, "%s", group);
    bucket = &bot->im->chats[bucket_of(bot, user, group)];
    chat->next = *bucket;
    *bucket = chat;
    return chat;
}

static void chat_free(struct im_chat *chat)
{
    struct im_chat **link = &chat->bot->im->chats[bucket_of(chat->bot, chat->user, chat->group)];

    while (*link != chat)
        link = &(*link)->next;
    *link = chat->next;
    free(chat);
}

/* A question that nobody will answer any more. */
static void drop_waiting(struct im_chat *chat)
{
    struct im_job *job = chat->waiting;

    if (!job)
        return;
    chat->waiting = NULL;
    im_keep_forget(job);
    im_job_free(job);
}

/* While we leave, a question only waits: it is kept, and the next process asks it. */
static bool job_may_start(const struct im_job *job)
{
    return job->answer.ending == IM_RUNNING && !job->im->leaving;
}

void im_chat_job_done(struct im_chat *chat, struct im_job *job)
{
    im_job_free(job);
    chat->running = chat->waiting;
    chat->waiting = NULL;
    if (!chat->running)
        chat_free(chat);
    else if (job_may_start(chat->running))
        im_job_start(chat->running);
    else
        im_job_look(chat->running); /* drained: it is only told so */
}

void im_chat_adopt(struct im_chat *chat, struct im_job *job)
{
    job->chat = chat;
    if (!chat->running)
        chat->running = job;
    else
        chat->waiting = job;
}

static struct im_job *question_job(struct im_bot *bot, const struct im_notice *notice)
{
    struct im_job *job = im_job_new(bot, notice->user, notice->group);

    if (!job)
        return NULL;
    job->question = malloc(notice->text.size + 1);
    if (!job->question) {
        im_job_free(job);
        return NULL;
    }
    memcpy(job->question, notice->text.data, notice->text.size);
    job->question_size = notice->text.size;
    im_digest(notice->once, strlen(notice->once), job->once);
    return job;
}

static void on_question(struct im *im, struct im_bot *bot, const struct im_notice *notice)
{
    struct im_chat *chat;
    struct im_job *job;

    im_count(im, "im_questions");
    if (im->hold_until_s) { /* no word could reach the user before the next day */
        im_count(im, "im_dropped_held");
        return;
    }
    if (!(chat = im_chat_get(bot, notice->user, notice->group))) {
        im_count(im, "im_dropped_full");
        return;
    }
    job = question_job(bot, notice);
    if (!job) {
        im_count(im, "im_dropped_full");
        if (!chat->running)
            chat_free(chat);
        return;
    }
    job->chat = chat;
    if (!chat->running) {
        chat->running = job;
        im_keep_save(job);
        if (im->draining)
            im_job_end(job, IM_FAILED, im->text_busy);
        else if (job_may_start(job))
            im_job_start(job);
        return;
    }
    if (chat->waiting)
        im_count(im, "im_questions_replaced");
    drop_waiting(chat); /* the newest wins */
    chat->waiting = job;
    im_keep_save(job);
    if (im->interrupts)
        im_job_stop(chat->running);
}

static bool has_key(const struct im_job *job, const char *key)
{
    return job && job->answer.exists && *key && strcmp(job->answer.key, key) == 0;
}

/* The key of a running answer stops that one; any other stops whatever runs for this user and bot. */
static void on_stop(struct im *im, struct im_bot *bot, const struct im_notice *notice)
{
    struct im_chat *chat = im_chat_find(bot, notice->user, notice->group);
    struct im_job *mirrored, *found = NULL;

    im_count(im, "im_stops");
    if (chat && has_key(chat->running, notice->stop_key)) {
        im_job_stop(chat->running);
        return;
    }
    TAILQ_FOREACH(mirrored, &bot->mirrors, in_mirrors) {
        if (strcmp(mirrored->user, notice->user) != 0 || *notice->group)
            continue;
        if (has_key(mirrored, notice->stop_key)) {
            im_job_stop(mirrored);
            return;
        }
        found = mirrored;
    }
    if (chat && chat->running)
        im_job_stop(chat->running);
    else if (found)
        im_job_stop(found);
}

void im_chat_notice(struct im *im, const struct im_notice *notice)
{
    struct im_bot *bot = notice->kind == IM_NOTICE_NOTHING ? NULL : im_bot_find(im, notice->bot);

    if (!bot) {
        im_count(im, notice->why);
        return;
    }
    if (!im_seen_first(im->seen, notice->once, im_wall_s())) {
        im_count(im, "im_repeated");
        return;
    }
    if (notice->kind == IM_NOTICE_QUESTION)
        on_question(im, bot, notice);
    else if (notice->kind == IM_NOTICE_STOP)
        on_stop(im, bot, notice);
    else
        im_count(im, "im_dropped_strange");
}

/* Nothing new is begun: who waits is told so, and the answers that run go on. */
void im_chats_drain(struct im *im)
{
    struct im_job *job;

    TAILQ_FOREACH(job, &im->jobs, link) {
        if (job->phase == IM_WAITING && job->chat && job == job->chat->waiting)
            im_answer_end(&job->answer, IM_FAILED, im->text_busy);
    }
}
