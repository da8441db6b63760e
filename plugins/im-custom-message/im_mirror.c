/* im-custom-message/im_mirror.c - mirror = true: answers of the app that were asked elsewhere, in the session that has an IM user's name, are
 * delivered to that user by the bot.
 *
 * The bot watches every session of its app.  Answers that we asked for ourselves come along too and are declined.  While a question of ours
 * is on its way to the core an answer in its session may be the very one: such a mirror is held until that is known. */
#include <stdio.h>
#include <string.h>

#include "im.h"

#define USER_MAX 32u        /* bytes of an IM user's id */
#define STRANGER_S 600u     /* so long nothing is tried for a name that the service did not know */
#define TAG_WATCH 3u

static uint32_t stranger_slot(const char *user, unsigned char ret_digest[IM_DIGEST])
{
    im_digest(user, strlen(user), ret_digest);
    return ((uint32_t)ret_digest[0] << 8 | ret_digest[1]) % IM_STRANGERS;
}

static bool is_stranger(const struct im *im, const char *user)
{
    unsigned char digest[IM_DIGEST];
    uint32_t slot = stranger_slot(user, digest);

    return im->stranger_s[slot] && im_wall_s() < im->stranger_s[slot] + STRANGER_S && !memcmp(im->strangers[slot], digest, IM_DIGEST);
}

void im_mirror_stranger(struct im_job *job)
{
    struct im *im = job->im;
    unsigned char digest[IM_DIGEST];
    uint32_t slot = stranger_slot(job->user, digest);

    memcpy(im->strangers[slot], digest, IM_DIGEST);
    im->stranger_s[slot] = im_wall_s();
    im_count(im, "im_mirror_strangers");
}

/* The IM user whose session this is, or NULL: sessions of groups and names that no IM user can have. */
static const char *user_of(const struct im_bot *bot, const char *session)
{
    size_t size = strlen(bot->title);

    if (!bot->plain) {
        if (strncmp(session, bot->title, size) != 0 || session[size] != ':')
            return NULL;
        session += size + 1;
    }
    if (!*session || strlen(session) > USER_MAX || strncmp(session, "@RBT#", 5) == 0)
        return NULL;
    for (const char *c = session; *c; c++)
        if ((unsigned char)*c <= 0x20 || *c == ':')
            return NULL;
    return session;
}

static bool is_ours(struct im_bot *bot, const char *user, const char *stream, bool *ret_asking)
{
    struct im_chat *chat = im_chat_find(bot, user, "");
    struct im_job *job;

    *ret_asking = chat && chat->running && chat->running->phase == IM_ASKING;
    if (chat && chat->running && strcmp(chat->running->stream, stream) == 0)
        return true;
    TAILQ_FOREACH(job, &bot->mirrors, in_mirrors) /* taken up again after a restart */
        if (strcmp(job->stream, stream) == 0)
            return true;
    return false;
}

static int on_began(void *data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct im_bot *bot = data;
    struct im *im = bot->im;
    const char *user = user_of(bot, stream->session);
    bool asking;

    (void)tag;
    if (!user || im->draining || im->leaving || im->hold_until_s || is_stranger(im, user) || is_ours(bot, user, stream->id, &asking))
        return -1;
    struct im_job *job = im_job_new(bot, user, "");
    if (!job) {
        im_count(im, "im_dropped_full");
        return -1;
    }
    TAILQ_INSERT_TAIL(&bot->mirrors, job, in_mirrors);
    job->mirrored = true;
    job->held = asking;
    job->phase = IM_READING;
    job->reader = reader;
    snprintf(job->stream, sizeof job->stream, "%s", stream->id);
    *ret_options = (struct umbel_reader_options){.reader_data = job, .max_text = 8192, .max_batch = 8192};
    im_count(im, "im_mirrored");
    return 0;
}

/* What a mirror was held for is known now: it is the same answer, and goes; or it is another one. */
void im_mirror_asked(struct im_job *asked)
{
    struct im_job *job, *next;

    if (!asked->chat || *asked->group)
        return; /* nothing is held for it: only a user's own question may be what is mirrored, see is_ours */
    for (job = TAILQ_FIRST(&asked->bot->mirrors); job; job = next) {
        next = TAILQ_NEXT(job, in_mirrors);
        if (job == asked || strcmp(job->user, asked->user) != 0)
            continue;
        if (strcmp(job->stream, asked->stream) == 0 && !job->answer.exists && job->held) {
            im_job_free(job);
        } else if (job->held) {
            job->held = false;
            im_job_look(job);
        }
    }
}

static void on_authorized(void *data, uint32_t error, const char *text)
{
    struct im_bot *bot = data;
    struct im *im = bot->im;

    if (error || im->real->watch(bot->watcher, TAG_WATCH, "") < 0)
        im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "bot %s cannot watch app %s: %s", bot->title, bot->app, text);
}

static void on_refused(void *data, uint64_t tag, uint32_t error, const char *text)
{
    struct im_bot *bot = data;

    if (tag == TAG_WATCH)
        bot->im->real->log(bot->im->real, UMBEL_LOG_ERROR, NULL, "bot %s cannot watch app %s: error %u %s", bot->title, bot->app, error, text);
}

static int on_encode(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    return im_reader_codec.encode(self, variant, reader_data, stream, event, out);
}

static int on_write(void *reader_data, const void *bytes, size_t size, int last)
{
    return im_reader_codec.write(reader_data, bytes, size, last);
}

static void on_ended(void *reader_data, uint32_t verdict)
{
    im_reader_codec.ended(reader_data, verdict);
}

const struct umbel_codec im_watcher_codec = {.struct_size = sizeof im_watcher_codec,
                                             .authorized = on_authorized,
                                             .began = on_began,
                                             .refused = on_refused,
                                             .encode = on_encode,
                                             .write = on_write,
                                             .ended = on_ended};

void im_mirror_open(struct im_bot *bot)
{
    struct im *im = bot->im;
    struct umbel_credential credential = {.kind = UMBEL_CREDENTIAL_APP, .value = bot->app, .size = strlen(bot->app)};

    if (!bot->mirror)
        return;
    bot->watcher = im->real->client_open(im->real, &im_watcher_codec, im, bot, bot->title);
    if (bot->watcher)
        im->real->authorize(bot->watcher, &credential, 1);
    else
        im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "bot %s cannot watch: no room for a client", bot->title);
}

void im_mirror_close(struct im_bot *bot)
{
    if (bot->watcher)
        bot->im->real->client_close(bot->watcher);
    bot->watcher = NULL;
}
