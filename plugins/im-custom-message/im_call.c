/* im-custom-message/im_call.c - calls to the service: whose turn it is, at what pace, and what came of it. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <event2/event.h>

#include "im.h"
#include "im_body.h"

#define ALARM_S 60u                /* one line a minute for each class of trouble */
#define DAY_S 86400u
#define CHINA_S (8u * 3600u)       /* the service's day ends at midnight in China */

static void arm_pump(struct im *im, uint64_t when_ns)
{
    uint64_t now_ns = im_now_ns(), wait_us = when_ns > now_ns ? (when_ns - now_ns + 999) / 1000 : 0;
    struct timeval tv = {(time_t)(wait_us / 1000000), (suseconds_t)(wait_us % 1000000)};

    event_add(im->pump, &tv);
}

/* ---- the address ---- */

static void put_escaped(struct umbel_out *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || strchr("-_.~*", c))
            umbel_out_put(out, text, 1);
        else
            umbel_out_printf(out, "%%%02X", c);
    }
}

/* The UserSig in use; renewed when four fifths of its life are over. */
static const char *user_sig(struct im *im)
{
    uint64_t now_s = im_wall_s();

    if (now_s < im->sig_renew_s)
        return im->sig;
    int r = im_usersig(im->secret_key, im->admin, im->sdk_app_id, now_s, im->sig_life_s, im->sig);
    if (r < 0)
        im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "cannot make a UserSig: %s", strerror(-r));
    im->sig_renew_s = now_s + im->sig_life_s / 5 * 4;
    im->sig_generation++;
    im_count(im, "im_usersigs");
    return im->sig;
}

static void put_url(struct im *im, const char *command)
{
    umbel_out_reset(&im->url);
    umbel_out_printf(&im->url, "%s/v4/%s?sdkappid=%llu&identifier=", im->api_base, command, (unsigned long long)im->sdk_app_id);
    put_escaped(&im->url, im->admin);
    umbel_out_printf(&im->url, "&usersig=%s&random=%u&contenttype=json", user_sig(im), (unsigned)(im_random(im) & 0x7fffffff));
    umbel_out_put(&im->url, "", 1);
}

const char *im_call_url(struct im *im, const char *service)
{
    put_url(im, service);
    return im->url.failed ? "" : im->url.data;
}

/* ---- outcomes ---- */

static void alarm_once(struct im *im, enum im_class class_, const char *command, int64_t code)
{
    uint64_t now_s = im_wall_s();

    if (im->alarm_s[class_] && now_s < im->alarm_s[class_] + ALARM_S)
        return;
    im->alarm_s[class_] = now_s;
    im->real->log(im->real, class_ == IM_CONFIGURATION || class_ == IM_VOLUME ? UMBEL_LOG_ERROR : UMBEL_LOG_WARN, NULL,
                  "%s answered %lld (%s); told once a minute", command, (long long)code, im_class_name(class_));
}

/* Until midnight nothing goes out; what waits longer than give_up_s is given up. */
static void hold_for_the_day(struct im *im)
{
    uint64_t now_s = im_wall_s();
    struct timeval tv = {(time_t)(im->give_up_ms / 1000), 0};

    if (im->hold_until_s)
        return;
    im->hold_until_s = now_s + DAY_S - (now_s + CHINA_S) % DAY_S;
    im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "the service's trial volume is used up: nothing is sent until its next day, in %llu minutes",
                  (unsigned long long)((im->hold_until_s - now_s) / 60));
    event_add(im->volume, &tv);
    arm_pump(im, im_now_ns() + (im->hold_until_s - now_s) * 1000000000ull);
}

static void on_volume(evutil_socket_t fd, short what, void *arg)
{
    struct im *im = arg;
    struct im_job *job;

    (void)fd;
    (void)what;
    if (!im->hold_until_s)
        return;
    TAILQ_FOREACH(job, &im->jobs, link) {
        job->answer.over = job->answer.gave_up = job->answer.deaf = true;
        job->last_class = IM_VOLUME;
        im_turns_remove(&im->turns, &job->turn);
        im_job_look(job);
    }
}

/* An HTTP status that the service's own words do not come with. */
static enum im_class class_of_status(uint32_t status)
{
    if (status == 429)
        return IM_RATE;
    if (status == 408 || status >= 500)
        return IM_UNCLEAR; /* a proxy says so: the call may have been done */
    return IM_CONFIGURATION;
}

static enum im_class classify(const struct im_job *job, const struct umbel_rest_outcome *outcome, char ret_key[IM_KEY_MAX], int64_t *ret_code)
{
    const struct im_step *step = &job->answer.step;
    char info[8];

    ret_key[0] = 0;
    *ret_code = outcome->status;
    if (outcome->result == UMBEL_REST_REFUSED)
        return IM_TRANSIENT;
    if (outcome->result != UMBEL_REST_REPLY)
        return IM_UNCLEAR;
    if (outcome->status != 200)
        return class_of_status(outcome->status);
    int64_t code = im_reply_read(outcome->body, outcome->size, &job->answer, step, ret_key, info, sizeof info);
    *ret_code = code;
    if (code < 0)
        return IM_UNCLEAR; /* 200 and not the service's words: something in between */
    enum im_class class_ = im_class_of(code);
    bool makes = !job->answer.exists && step->call != IM_CALL_ERROR;
    if (class_ == IM_OK && makes && !step->final && !*ret_key)
        return IM_UNCLEAR; /* without its key the message could never be finished */
    return class_;
}

static void note(struct im_job *job, enum im_class class_, const struct umbel_rest_outcome *outcome, int64_t code)
{
    struct im *im = job->im;
    const char *command = im_body_command(&job->answer, &job->answer.step);

    im_count(im, im_class_counter(class_));
    if (class_ == IM_OK || (class_ == IM_TRANSIENT && outcome->result == UMBEL_REST_REPLY))
        return;
    if (outcome->result == UMBEL_REST_REPLY) {
        alarm_once(im, class_, command, code);
        return;
    }
    uint64_t now_s = im_wall_s();
    if (im->alarm_s[class_] && now_s < im->alarm_s[class_] + ALARM_S)
        return;
    im->alarm_s[class_] = now_s;
    im->real->log(im->real, UMBEL_LOG_WARN, NULL, "%s: %s; told once a minute", command, outcome->text);
}

static void on_done(void *arg, const struct umbel_rest_outcome *outcome)
{
    struct im_job *job = arg;
    struct im *im = job->im;
    char key[IM_KEY_MAX];
    int64_t code;
    enum im_call call = job->answer.step.call;
    enum im_class class_ = classify(job, outcome, key, &code);
    struct im_told told = {key, (uint32_t)im_random(im)};

    job->call = NULL;
    job->last_class = class_;
    note(job, class_, outcome, code);
    im_answer_done(&job->answer, class_, &told, im_now_ns());
    if (job->answer.renew_sig && job->sig_generation == im->sig_generation)
        im->sig_renew_s = 0;
    job->answer.renew_sig = false;
    if (class_ == IM_VOLUME)
        hold_for_the_day(im);
    if (code == 60007 || code == 60018)
        im_pace_empty(&im->pace, im_now_ns());
    if ((call != IM_CALL_MODIFY || im->leaving) && !job->answer.over)
        im_keep_save(job); /* its key, above all */
    im_reader_resume(job);
    im_job_look(job);
    im_calls_pump(im);
}

/* ---- going out ---- */

static void start_call(struct im_job *job, const struct im_step *step)
{
    struct im *im = job->im;
    struct im_peer peer = {job->bot->account, job->user, job->group};
    struct im_told told = {"", (uint32_t)im_random(im)};
    uint64_t now_ns = im_now_ns();

    im_answer_begin(&job->answer, step, now_ns);
    im_keep_save(job);
    umbel_out_reset(&im->body);
    im_body_put(&job->answer, step, &peer, &im->body);
    put_url(im, im_body_command(&job->answer, step));
    struct umbel_rest_request request = {.struct_size = sizeof request,
                                         .flags = UMBEL_REST_ONCE, /* repeating is our business: it is paced and counted */
                                         .url = im->url.data,
                                         .body = im->body.data,
                                         .size = im->body.size};
    int r = im->body.failed || im->url.failed ? -ENOMEM : umbel_rest_post(im->rest, &request, on_done, job, &job->call);
    job->sig_generation = im->sig_generation;
    im_pace_take(&im->pace, now_ns);
    im_count(im, "im_calls");
    if (r == 0)
        return;
    im->real->log(im->real, UMBEL_LOG_ERROR, NULL, "a call cannot be made: %s", strerror(-r));
    im_answer_done(&job->answer, IM_TRANSIENT, &told, now_ns);
    im_job_look(job);
}

/* A group takes fewer messages than the app may send: each has a pace of its own.  0: now. */
static uint64_t group_wait(struct im *im, const struct im_job *job, uint64_t now_ns)
{
    unsigned char digest[IM_DIGEST];

    if (!*job->group)
        return 0;
    im_digest(job->group, strlen(job->group), digest);
    uint64_t *next_ns = &im->group_next_ns[digest[0]];
    if (*next_ns > now_ns)
        return *next_ns;
    *next_ns = now_ns + IM_GROUP_GAP_NS;
    return 0;
}

static void serve(struct im *im, struct im_job *job, uint64_t now_ns)
{
    struct im_step step;
    uint64_t when_ns;

    if (!im_answer_next(&job->answer, now_ns, &step, &when_ns)) {
        im_job_look(job);
        return;
    }
    when_ns = group_wait(im, job, now_ns);
    if (when_ns)
        im_job_look_at(job, when_ns);
    else
        start_call(job, &step);
}

void im_calls_pump(struct im *im)
{
    if (im->pumping)
        return; /* further down it is done anyway */
    im->pumping = true;
    while (im->turns.count && !im->leaving && umbel_rest_calls(im->rest) < IM_CALLS_MAX) {
        uint64_t now_ns = im_now_ns(), next_ns = im_pace_next(&im->pace, now_ns);
        if (im->hold_until_s) {
            if (im_wall_s() < im->hold_until_s)
                break;
            im->hold_until_s = 0;
        }
        if (next_ns > now_ns) {
            arm_pump(im, next_ns);
            break;
        }
        struct im_turn *turn = im_turns_take(&im->turns);
        serve(im, (struct im_job *)(void *)((char *)turn - offsetof(struct im_job, turn)), now_ns);
    }
    im->pumping = false;
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    im_calls_pump(arg);
}

int im_calls_open(struct im *im)
{
    im->pump = evtimer_new(im->real->base, on_pump, im);
    im->volume = evtimer_new(im->real->base, on_volume, im);
    return im->pump && im->volume ? 0 : -ENOMEM;
}

void im_calls_close(struct im *im)
{
    if (im->pump)
        event_free(im->pump);
    if (im->volume)
        event_free(im->volume);
}
