/* im-custom-message/im_keep.c - what is remembered by the core while an answer is unfinished, so that the next process can finish it.
 *
 *   j.ID    one JSON object: to whom, which stream from which byte on, the message at hand, the call that was under way
 *   t.ID.N  the text: of a question that was not asked yet, or what the message may show, in pieces of 4 KiB
 * It is written before each call that could make or change a message, so whatever the service has done, this knows of it.  Whatever
 * is there in open() was left by a process that has ended: UMBEL_NEEDS_ALONE. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "im.h"

#define PIECE_MAX 4096u
#define KEY_MAX 40u
#define PIECES_MAX 4u /* 16 KiB: more than a message or a question takes; a TIMStreamElem needs none, the service ends it by itself */

static void keep(struct im *im, const char *key, const void *value, size_t size)
{
    int r = im->real->keep(im->real, key, value, size);

    if (r < 0)
        im_count(im, "im_keep_failed");
}

static void text_key(const struct im_job *job, size_t piece, char ret_key[KEY_MAX])
{
    snprintf(ret_key, KEY_MAX, "t.%.16s.%u", job->id, (unsigned)piece);
}

/* Writes what is new of the text, from the piece in which it begins on. */
static void keep_text(struct im_job *job, uint64_t base, const char *text, size_t size)
{
    char key[KEY_MAX];
    size_t whole = (size + PIECE_MAX - 1) / PIECE_MAX;
    size_t from = base == job->kept_base ? job->kept_text / PIECE_MAX : 0;

    if (whole > PIECES_MAX)
        whole = PIECES_MAX;
    if (base == job->kept_base && size == job->kept_text)
        return;
    for (size_t piece = from; piece < whole; piece++) {
        size_t at = piece * PIECE_MAX, left = size - at;
        text_key(job, piece, key);
        keep(job->im, key, text + at, left < PIECE_MAX ? left : PIECE_MAX);
    }
    for (size_t piece = whole; piece < job->kept_chunks; piece++) {
        text_key(job, piece, key);
        keep(job->im, key, "", 0);
    }
    job->kept_base = base;
    job->kept_text = size;
    job->kept_chunks = whole;
}

static void put_text(struct umbel_out *out, const char *name, const char *value)
{
    umbel_out_printf(out, ",\"%s\":", name);
    umbel_out_json(out, value, strlen(value));
}

static void put_number(struct umbel_out *out, const char *name, uint64_t value)
{
    umbel_out_printf(out, ",\"%s\":%" PRIu64, name, value);
}

static void put_message(struct umbel_out *out, const struct im_answer *answer)
{
    put_number(out, "base", answer->base);
    put_number(out, "parts", answer->parts);
    put_number(out, "mode", answer->mode);
    put_number(out, "limit", answer->limit);
    put_number(out, "seq", answer->seq);
    put_number(out, "random", answer->random);
    put_text(out, "head", answer->head);
    if (answer->exists)
        put_text(out, "key", answer->key);
    put_number(out, "shown", answer->shown);
    put_number(out, "reached", answer->reached);
    put_number(out, "pieces", answer->pieces);
    if (answer->busy || answer->repeat) {
        put_number(out, "call", answer->step.call);
        put_number(out, "from", answer->step.from);
        put_number(out, "to", answer->step.to);
        put_number(out, "final", answer->step.final);
        put_text(out, "tail", answer->step.tail);
    }
}

void im_keep_save(struct im_job *job)
{
    struct im *im = job->im;
    const struct im_answer *answer = &job->answer;
    char key[KEY_MAX];

    umbel_out_reset(&im->keep);
    umbel_out_printf(&im->keep, "{\"v\":1");
    put_text(&im->keep, "bot", job->bot->title);
    put_text(&im->keep, "user", job->user);
    put_text(&im->keep, "group", job->group);
    put_text(&im->keep, "stream", job->stream);
    put_number(&im->keep, "mirror", job->mirrored);
    umbel_out_text(&im->keep, ",\"once\":\"");
    for (size_t i = 0; i < IM_DIGEST; i++)
        umbel_out_printf(&im->keep, "%02x", job->once[i]);
    umbel_out_text(&im->keep, "\"");
    put_message(&im->keep, answer);
    umbel_out_text(&im->keep, "}");
    if (!*job->stream && answer->parts == 0 && job->question)
        keep_text(job, UINT64_MAX, job->question, job->question_size); /* a base that no answer has */
    else if (answer->mode != IM_TIM_STREAM && answer->text.size)
        keep_text(job, answer->base, answer->text.data, answer->busy && answer->step.to > answer->reached ? answer->step.to : answer->reached);
    snprintf(key, sizeof key, "j.%s", job->id);
    if (im->keep.failed)
        im_count(im, "im_keep_failed");
    else
        keep(im, key, im->keep.data, im->keep.size);
}

void im_keep_forget(struct im_job *job)
{
    char key[KEY_MAX];

    for (size_t piece = 0; piece < PIECES_MAX; piece++) {
        text_key(job, piece, key);
        if (piece < job->kept_chunks)
            keep(job->im, key, "", 0);
    }
    snprintf(key, sizeof key, "j.%s", job->id);
    keep(job->im, key, "", 0);
}

/* ---- taking over ---- */

struct restoring {
    struct im *im;
    struct im_job **jobs;
    size_t count, room;
};

static void read_digest(const char *hex, unsigned char ret_digest[IM_DIGEST])
{
    char pair[3] = "";

    for (size_t i = 0; i < IM_DIGEST && hex[2 * i] && hex[2 * i + 1]; i++) {
        memcpy(pair, hex + 2 * i, 2);
        ret_digest[i] = (unsigned char)strtoul(pair, NULL, 16);
    }
}

static void read_step(const struct umbel_json *value, struct im_answer *answer)
{
    struct im_told told = {"", 0};
    int64_t call = umbel_json_member_integer(value, "call", -1);

    if (call < 0 || call > IM_CALL_ERROR)
        return;
    answer->step.call = (enum im_call)call;
    answer->step.from = (size_t)umbel_json_member_integer(value, "from", 0);
    answer->step.to = (size_t)umbel_json_member_integer(value, "to", 0);
    answer->step.final = umbel_json_member_integer(value, "final", 0) != 0;
    snprintf(answer->step.tail, sizeof answer->step.tail, "%s", umbel_json_member_text(value, "tail", ""));
    if (answer->step.from > answer->step.to)
        answer->step.from = answer->step.to;
    im_answer_done(answer, IM_UNCLEAR, &told, 0); /* it was under way when its process ended */
    answer->failing_since_ns = 0;
    answer->not_before_ns = 0;
    if (answer->need < answer->step.to && answer->repeat)
        answer->need = answer->step.to;
}

static void read_message(const struct umbel_json *value, struct im_answer *answer)
{
    int64_t mode = umbel_json_member_integer(value, "mode", IM_MODIFY), limit = umbel_json_member_integer(value, "limit", IM_LIMIT);

    answer->base = (uint64_t)umbel_json_member_integer(value, "base", 0);
    answer->parts = (uint32_t)umbel_json_member_integer(value, "parts", 0);
    answer->mode = mode >= IM_MODIFY && mode <= IM_TEXT ? (enum im_mode)mode : IM_MODIFY;
    answer->limit = limit >= (int64_t)IM_LIMIT_MIN && limit <= (int64_t)IM_LIMIT_STREAM ? (size_t)limit : IM_LIMIT;
    answer->seq = (uint32_t)umbel_json_member_integer(value, "seq", 1);
    answer->random = (uint32_t)umbel_json_member_integer(value, "random", 1);
    snprintf(answer->head, sizeof answer->head, "%s", umbel_json_member_text(value, "head", ""));
    const char *key = umbel_json_member_text(value, "key", NULL);
    answer->exists = key != NULL;
    snprintf(answer->key, sizeof answer->key, "%s", key ? key : "");
    answer->shown = (size_t)umbel_json_member_integer(value, "shown", 0);
    answer->reached = (size_t)umbel_json_member_integer(value, "reached", 0);
    answer->pieces = (uint32_t)umbel_json_member_integer(value, "pieces", 0);
    answer->need = answer->reached;
    read_step(value, answer);
    if (answer->need < answer->reached)
        answer->need = answer->reached;
}

static void restore_job(struct restoring *restoring, const char *id, const struct umbel_json *value)
{
    struct im *im = restoring->im;
    struct im_bot *bot = NULL;
    struct im_job *job = NULL;

    for (uint32_t i = 0; i < im->bot_count && !bot; i++)
        if (strcmp(im->bots[i].title, umbel_json_member_text(value, "bot", "")) == 0)
            bot = &im->bots[i];
    if (bot && restoring->count < restoring->room)
        job = im_job_new(bot, umbel_json_member_text(value, "user", ""), umbel_json_member_text(value, "group", ""));
    if (!job) {
        im_count(im, "im_dropped_full");
        return;
    }
    snprintf(job->id, sizeof job->id, "%s", id);
    snprintf(job->stream, sizeof job->stream, "%s", umbel_json_member_text(value, "stream", ""));
    read_digest(umbel_json_member_text(value, "once", ""), job->once);
    job->restored = true;
    job->held = umbel_json_member_integer(value, "mirror", 0) != 0; /* until it is known where it belongs */
    job->kept_chunks = PIECES_MAX; /* whatever there is */
    job->kept_base = UINT64_MAX - 1;
    read_message(value, &job->answer);
    restoring->jobs[restoring->count++] = job;
}

static void visit_job(void *arg, const char *key, const void *bytes, uint64_t size)
{
    struct restoring *restoring = arg;
    char why[160];

    if (strncmp(key, "j.", 2) != 0 || strlen(key) != 18)
        return;
    struct umbel_json *value = umbel_json_parse(bytes, (size_t)size, why, sizeof why);
    if (umbel_json_member_integer(value, "v", 0) == 1)
        restore_job(restoring, key + 2, value);
    umbel_json_free(value);
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct im_job *const *)a)->id, (*(struct im_job *const *)b)->id);
}

/* One piece of text to its job; pieces may come in any order. */
static void visit_text(void *arg, const char *key, const void *bytes, uint64_t size)
{
    struct restoring *restoring = arg;
    struct im_job name, *wanted = &name, **found;

    if (strncmp(key, "t.", 2) != 0 || strlen(key) != 20 || size > PIECE_MAX || key[19] < '0' || key[19] >= (int)('0' + PIECES_MAX))
        return;
    snprintf(name.id, sizeof name.id, "%.16s", key + 2);
    found = bsearch(&wanted, restoring->jobs, restoring->count, sizeof *restoring->jobs, by_id);
    if (!found)
        return;
    size_t at = (size_t)(key[19] - '0') * PIECE_MAX;
    struct im_job *job = *found;
    if (!job->saved)
        job->saved = calloc(1, (size_t)PIECES_MAX * PIECE_MAX);
    if (!job->saved)
        return;
    memcpy(job->saved + at, bytes, (size_t)size);
    if (job->saved_size < at + size)
        job->saved_size = at + (size_t)size;
}

/* false: the job is gone. */
static bool begin_again(struct im *im, struct im_job *job)
{
    im_count(im, "im_restored");
    im_seen_add(im->seen, job->once, im_wall_s());
    if (job->held) { /* mirrored: it is asked for by a client of its own now */
        job->held = false;
        if (!*job->stream) {
            im_keep_forget(job);
            im_job_free(job);
            return false;
        }
        job->mirrored = true;
        TAILQ_INSERT_TAIL(&job->bot->mirrors, job, in_mirrors);
        return true;
    }
    struct im_chat *chat = im_chat_get(job->bot, job->user, job->group);
    if (!chat || (chat->running && chat->waiting)) { /* the latter cannot be: two of one chat are all that is ever kept */
        im_keep_forget(job);
        im_job_free(job);
        return false;
    }
    if (!*job->stream) { /* a question that was never asked, or not known to be */
        job->question = job->saved;
        job->question_size = job->saved_size;
        job->saved = NULL;
    }
    im_chat_adopt(chat, job);
    if (!*job->stream && !job->question_size) /* nothing is known but that somebody waits */
        im_answer_end(&job->answer, IM_FAILED, im->text_failed);
    return true;
}

void im_keep_restore(struct im *im)
{
    struct restoring restoring = {.im = im, .room = im->max_answers};

    restoring.jobs = calloc(im->max_answers, sizeof *restoring.jobs);
    if (!restoring.jobs)
        return;
    im->real->kept(im->real, visit_job, &restoring);
    qsort(restoring.jobs, restoring.count, sizeof *restoring.jobs, by_id);
    im->real->kept(im->real, visit_text, &restoring);
    for (int asked = 1; asked >= 0; asked--) /* answers that run first, then the questions behind them */
        for (size_t i = 0; i < restoring.count; i++)
            if (restoring.jobs[i] && (*restoring.jobs[i]->stream != 0) == asked && !begin_again(im, restoring.jobs[i]))
                restoring.jobs[i] = NULL;
    for (size_t i = 0; i < restoring.count; i++) {
        struct im_job *job = restoring.jobs[i];
        if (!job || (job->chat && job->chat->running != job))
            continue;
        if (job->answer.ending == IM_RUNNING)
            im_job_start(job);
        else
            im_job_look(job);
    }
    if (restoring.count)
        im->real->log(im->real, UMBEL_LOG_INFO, NULL, "%zu unfinished answers of an earlier process are taken up", restoring.count);
    free(restoring.jobs);
}
