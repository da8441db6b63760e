/* im-custom-message/im_plugin.c - what this plugin is, its options, and its life. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <event2/event.h>

#include "im.h"

#define LEAVE_HOOK_MS 2000u /* the webhook's connections go within this */
#define LEAVE_LOOK_MS 10
#define DRAIN_MARGIN_MS 3000u /* before the deadline what still runs is finished with a note */

static const struct umbel_option bot_options[] = {
    {.type = UMBEL_OPTION_TEXT, .flags = UMBEL_OPTION_REQUIRED, .name = "account", .help = "the bot's UserID, \"@RBT#...\""},
    {.type = UMBEL_OPTION_TEXT, .flags = UMBEL_OPTION_REQUIRED, .name = "app", .help = "the app that answers for it"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "delivery",
     .otherwise = "modify",
     .choices = "modify|stream|tim_stream|text",
     .help = "modify: one message that is changed; stream: pieces, one to one only; tim_stream: the newest clients' own element; "
             "text: one message at the end"},
    {.type = UMBEL_OPTION_BOOL,
     .name = "mirror",
     .otherwise = "false",
     .help = "also deliver answers of the app that were asked elsewhere in the session named like an IM user, to that user"}};

static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_INTEGER,
     .flags = UMBEL_OPTION_REQUIRED,
     .name = "sdk_app_id",
     .min = 1,
     .max = INT64_C(9007199254740991),
     .help = "SDKAppID of the chat application"},
    {.type = UMBEL_OPTION_TEXT, .name = "admin", .otherwise = "administrator", .help = "an administrator's account, in whose name calls are made"},
    {.type = UMBEL_OPTION_SECRET, .flags = UMBEL_OPTION_REQUIRED, .name = "secret_key", .help = "the application's key, for the UserSig"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "api_base",
     .otherwise = "https://console.tim.qq.com",
     .help = "where the service is: the domain of the application's region, without a path"},
    {.type = UMBEL_OPTION_TEXT,
     .flags = UMBEL_OPTION_FILE,
     .name = "ca_file",
     .help = "certificates to trust for api_base, PEM; empty = the system's"},
    {.type = UMBEL_OPTION_TEXT, .name = "webhook_path", .otherwise = "/tim/callback", .help = "path of the callback address"},
    {.type = UMBEL_OPTION_SECRET, .name = "webhook_token", .help = "the callback token; empty = callbacks are not authenticated"},
    {.type = UMBEL_OPTION_INTEGER, .name = "rate", .otherwise = "200", .min = 1, .max = 100000, .help = "calls in any one second, at most"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "snapshot_ms",
     .otherwise = "500",
     .min = 100,
     .max = 5000,
     .help = "ms between two changes of one message, at least"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "give_up_s",
     .otherwise = "300",
     .min = 1,
     .max = 86400,
     .help = "s for which a call that fails is tried again before its answer is given up"},
    {.type = UMBEL_OPTION_INTEGER, .name = "call_timeout_ms", .otherwise = "5000", .min = 100, .max = 60000, .help = "ms for one call"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "usersig_s",
     .otherwise = "86400",
     .min = 60,
     .max = 15552000,
     .help = "s a UserSig is valid for; it is renewed after four fifths of it"},
    {.type = UMBEL_OPTION_INTEGER,
     .name = "max_answers",
     .otherwise = "4000",
     .min = 1,
     .max = 4000,
     .help = "answers and waiting questions at once; further questions are dropped"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "question_during_answer",
     .otherwise = "queue",
     .choices = "queue|interrupt",
     .help = "queue: it waits for the answer's end, the newest one if there are several; interrupt: it stops the answer"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "text_failed",
     .otherwise = "The model service failed, try again later.",
     .help = "what a user is told when an answer failed"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "text_busy",
     .otherwise = "Too many requests, try again later.",
     .help = "what a user is told when there is no room, or a quota is used up"},
    {.type = UMBEL_OPTION_TEXT, .name = "text_empty", .otherwise = "The model gave no answer.", .help = "what is said when an answer has no text"},
    {.type = UMBEL_OPTION_TEXT, .name = "text_stopped", .otherwise = "Stopped.", .help = "the message when an answer was stopped before its first text"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "text_interrupted",
     .otherwise = "(The answer was interrupted.)",
     .help = "the note behind an answer that could not be continued after a restart"},
    {.type = UMBEL_OPTION_TEXT,
     .name = "text_refused",
     .otherwise = "The chat service did not accept the answer.",
     .help = "what a user is told when the service refuses the text"},
    {.type = UMBEL_OPTION_SECTION,
     .flags = UMBEL_OPTION_REQUIRED,
     .name = "bot",
     .help = "a bot, and which app answers for it",
     .section = bot_options,
     .section_count = sizeof bot_options / sizeof *bot_options}};

static enum im_mode mode_of(const char *word)
{
    static const char *const words[] = {[IM_MODIFY] = "modify", [IM_STREAM] = "stream", [IM_TIM_STREAM] = "tim_stream", [IM_TEXT] = "text"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(words[i], word) == 0)
            return (enum im_mode)i;
    return IM_MODIFY;
}

static int bad(const struct im *im, const char *bot, const char *what)
{
    im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "bot %s: %s", bot, what);
    return -EINVAL;
}

/* One bot of each app has sessions that are named by the user alone: the one that mirrors, else the first. */
static void choose_plain(struct im *im)
{
    for (uint32_t i = 0; i < im->bot_count; i++) {
        struct im_bot *best = NULL;
        for (uint32_t k = 0; k < im->bot_count; k++)
            if (strcmp(im->bots[k].app, im->bots[i].app) == 0 && (!best || (im->bots[k].mirror && !best->mirror)))
                best = &im->bots[k];
        im->bots[i].plain = best == &im->bots[i];
    }
}

static int read_bots(struct im *im)
{
    const struct umbel_host *host = im->real;
    const struct umbel_config *section;

    for (uint32_t i = 0; (section = host->config_section(im->config, "bot", i)); i++) {
        struct im_bot *bot = &im->bots[i];
        if (i == IM_BOTS_MAX)
            return bad(im, host->config_title(section), "there are more than 64 bots");
        bot->im = im;
        bot->title = host->config_title(section);
        bot->account = host->config_text(section, "account");
        bot->app = host->config_text(section, "app");
        bot->mode = mode_of(host->config_text(section, "delivery"));
        bot->mirror = host->config_integer(section, "mirror") != 0;
        TAILQ_INIT(&bot->mirrors);
        if (strncmp(bot->account, "@RBT#", 5) != 0 || strlen(bot->account) > 32)
            return bad(im, bot->title, "account does not begin with @RBT#, or has more than 32 bytes");
        if (im_bot_find(im, bot->account))
            return bad(im, bot->title, "another bot has the same account");
        im->bot_count++;
    }
    choose_plain(im);
    return im->bot_count ? 0 : bad(im, "", "there is none");
}

static void read_options(struct im *im)
{
    const struct umbel_host *host = im->real;
    const struct umbel_config *config = im->config;

    im->sdk_app_id = (uint64_t)host->config_integer(config, "sdk_app_id");
    im->sig_life_s = (uint64_t)host->config_integer(config, "usersig_s");
    im->admin = host->config_text(config, "admin");
    im->secret_key = host->config_text(config, "secret_key");
    im->api_base = host->config_text(config, "api_base");
    im->webhook_path = host->config_text(config, "webhook_path");
    im->webhook_token = host->config_text(config, "webhook_token");
    im->text_failed = host->config_text(config, "text_failed");
    im->text_busy = host->config_text(config, "text_busy");
    im->text_empty = host->config_text(config, "text_empty");
    im->text_stopped = host->config_text(config, "text_stopped");
    im->text_interrupted = host->config_text(config, "text_interrupted");
    im->text_refused = host->config_text(config, "text_refused");
    im->interval_ms = (uint32_t)host->config_integer(config, "snapshot_ms");
    im->give_up_ms = (uint32_t)host->config_integer(config, "give_up_s") * 1000;
    im->max_answers = (uint32_t)host->config_integer(config, "max_answers");
    im->interrupts = strcmp(host->config_text(config, "question_during_answer"), "interrupt") == 0;
    im_pace_init(&im->pace, (uint32_t)host->config_integer(config, "rate"));
}

/* What still runs shortly before the deadline is finished with what there is. */
static void on_drain(evutil_socket_t fd, short what, void *arg)
{
    struct im *im = arg;
    struct im_job *job;

    (void)fd;
    (void)what;
    if (im->leaving) {
        im_check_drained(im);
        if (!im->drained)
            event_add(im->drain, &(struct timeval){0, LEAVE_LOOK_MS * 1000});
        return;
    }
    TAILQ_FOREACH(job, &im->jobs, link)
        im_job_interrupt(job);
}

static int open_parts(struct im *im)
{
    struct umbel_rest_settings settings = {.struct_size = sizeof settings,
                                           .max_calls = IM_CALLS_MAX,
                                           .timeout_ms = (uint32_t)im->real->config_integer(im->config, "call_timeout_ms"),
                                           .ca_file = im->real->config_text(im->config, "ca_file"),
                                           .agent = "umbel/" UMBEL_VERSION};
    int r;

    settings.connect_timeout_ms = settings.timeout_ms < 3000 ? settings.timeout_ms : 3000;
    read_options(im);
    r = read_bots(im);
    if (r == 0 && getrandom(&im->chance, sizeof im->chance, 0) != (ssize_t)sizeof im->chance)
        r = -EIO;
    if (r == 0)
        r = im_seen_create(&im->seen);
    if (r == 0)
        r = im_calls_open(im);
    im->drain = evtimer_new(im->real->base, on_drain, im);
    if (r == 0 && !im->drain)
        r = -ENOMEM;
    if (r == 0)
        r = umbel_rest_open(im->real, &settings, &im->rest);
    return r == 0 ? im_hook_open(im) : r;
}

static void plugin_close(void *self)
{
    struct im *im = self;
    struct im_job *job;

    if (!im)
        return;
    while ((job = TAILQ_FIRST(&im->jobs))) /* not forgotten: what is unfinished is for the next process */
        im_job_free(job);
    for (uint32_t i = 0; i < IM_CHATS_BUCKETS; i++)
        for (struct im_chat *chat = im->chats[i], *next; chat; chat = next) {
            next = chat->next;
            free(chat);
        }
    for (uint32_t i = 0; i < im->bot_count; i++)
        im_mirror_close(&im->bots[i]);
    im_command_close(im);
    umbel_http_close(im->http);
    umbel_rest_close(im->rest);
    im_calls_close(im);
    if (im->drain)
        event_free(im->drain);
    im_seen_free(im->seen);
    umbel_out_free(&im->body);
    umbel_out_free(&im->url);
    umbel_out_free(&im->keep);
    free(im);
}

static int plugin_open(const struct umbel_host *host, const struct umbel_config *config, void **ret_self)
{
    struct im *im = calloc(1, sizeof *im);

    if (!im)
        return -ENOMEM;
    im->real = host;
    im->config = config;
    TAILQ_INIT(&im->jobs);
    im_turns_init(&im->turns);
    int r = open_parts(im);
    if (r < 0) {
        plugin_close(im);
        return r;
    }
    if (!*im->webhook_token)
        host->log(host, UMBEL_LOG_WARN, NULL, "webhook_token is empty: anybody who finds the callback address can ask");
    im_keep_restore(im); /* before the watchers: what is taken up again is not mirrored once more */
    for (uint32_t i = 0; i < im->bot_count; i++)
        im_mirror_open(&im->bots[i]);
    *ret_self = im;
    return 0;
}

static void plugin_drain(void *self, uint32_t deadline_ms)
{
    struct im *im = self;
    uint32_t margin_ms = deadline_ms / 4 < DRAIN_MARGIN_MS ? deadline_ms / 4 : DRAIN_MARGIN_MS;
    uint32_t until_ms = deadline_ms - margin_ms;
    struct timeval tv = {until_ms / 1000, until_ms % 1000 * 1000};

    im->draining = true;
    event_add(im->drain, &tv);
    im_chats_drain(im);
    if (im->http)
        umbel_http_drain(im->http, deadline_ms);
    else
        im->http_drained = true;
    im_check_drained(im);
}

/* The next process opens when this one has ended: calls under way come to their end, everything else is kept for it. */
static void plugin_retire(void *self, uint32_t step, uint32_t ms)
{
    struct im *im = self;

    if (step != UMBEL_RETIRE_LEAVE || im->leaving || im->draining)
        return;
    im->leaving = true;
    if (im->http)
        umbel_http_retire(im->http, step, ms < LEAVE_HOOK_MS ? ms : LEAVE_HOOK_MS);
    else
        im->http_drained = true;
    event_add(im->drain, &(struct timeval){0, LEAVE_LOOK_MS * 1000});
}

static int plugin_reload(void *self)
{
    struct im *im = self;

    return im->http ? umbel_http_reload(im->http) : 0;
}

UMBEL_EXPORT extern const struct umbel_transport umbel_transport;
const struct umbel_transport umbel_transport = {.struct_size = sizeof umbel_transport,
                                                .abi_major = UMBEL_ABI_MAJOR,
                                                .abi_minor = UMBEL_ABI_MINOR,
                                                .name = "im-custom-message",
                                                .version = UMBEL_VERSION,
                                                .summary = "Tencent Cloud IM bots",
                                                .options = options,
                                                .option_count = sizeof options / sizeof *options,
                                                .option_size = sizeof *options,
                                                .needs = UMBEL_NEEDS_OUTBOUND | UMBEL_NEEDS_ALONE,
                                                .open = plugin_open,
                                                .drain = plugin_drain,
                                                .reload = plugin_reload,
                                                .close = plugin_close,
                                                .command = im_command,
                                                .retire = plugin_retire};
