#include "core/daemon/daemon_capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/capture/capture_file.h"
#include "core/daemon/daemon.h"

#define DEFAULT_MB 100u
#define MAX_MB 4096u
#define DEFAULT_MS (600 * 1000u)
#define MAX_MS (24u * 3600 * 1000)
#define TICK_NS (20 * CLOCK_MS) /* while the rest is written */
#define NAME_MAX_ 96u           /* bytes of an upstream's or app's name that is filtered by */

struct daemon_capture {
    struct daemon *daemon;
    struct upstream_recorder recorder;
    struct capture_file *file; /* NULL: off */
    bool on;                   /* records are taken; off with a file: its rest is being written */
    struct uring_timer limit;  /* its time is over; off with a file: has the thread ended? */
    struct admin_request *stopping; /* who waits for that, or NULL */
    uint64_t next, first;      /* numbers of answers; those before `first` are of an earlier capture */
    uint64_t begun_ns, until_ns, rest_ns, max_bytes, answers;
    bool with_request;
    char upstream[NAME_MAX_], app[NAME_MAX_]; /* "": all */
    char path[4096];           /* of the last one, too */
    const char *reason;        /* why the last one ended */
};

/* ---- records ---- */

static void put_text(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "%s\"%s\":", out->size > 1 ? "," : "", name);
    umbel_out_json(out, text, strlen(text));
}

static void end_capture(struct daemon_capture *capture, const char *reason);

static bool put_record(struct daemon_capture *capture, uint32_t type, uint64_t number, uint64_t at_ns, struct span payload)
{
    uint64_t at_us = at_ns > capture->begun_ns ? (at_ns - capture->begun_ns) / 1000 : 0;
    struct capture_record record = {type, number, at_us, payload};

    if (capture_file_put(capture->file, &record)) {
        stats_add(capture->daemon->stats, CORE_CAPTURE_BYTES, CAPTURE_RECORD_HEAD + payload.size);
        return true;
    }
    stats_add(capture->daemon->stats, CORE_CAPTURES_CUT, 1);
    end_capture(capture, capture_state_text(capture_file_state(capture->file)));
    return false;
}

static bool put_document(struct daemon_capture *capture, uint32_t type, uint64_t number, uint64_t at_ns, struct umbel_out *out)
{
    bool taken = !out->failed && put_record(capture, type, number, at_ns, span_of(out->data, out->size));

    umbel_out_free(out);
    return taken;
}

static bool wanted(const struct daemon_capture *capture, const struct upstream_record_begin *about)
{
    return capture->on && (!*capture->upstream || strcmp(capture->upstream, about->upstream) == 0) &&
           (!*capture->app || strcmp(capture->app, about->app) == 0);
}

static uint64_t begin(void *owner, const struct upstream_record_begin *about)
{
    struct daemon_capture *capture = owner;
    bool request = capture->with_request && about->request.size <= CAPTURE_REQUEST_MAX;
    uint64_t number = capture->next, now_ns = uring_loop_now_ns(capture->daemon->loop);
    struct umbel_out out = {0};
    const char *name;

    if (!wanted(capture, about))
        return 0;
    umbel_out_text(&out, "{");
    put_text(&out, "upstream", about->upstream);
    put_text(&out, "dialect", about->dialect);
    put_text(&out, "model", about->model);
    put_text(&out, "app", about->app);
    put_text(&out, "stream", about->stream);
    umbel_out_printf(&out, ",\"answer_max_bytes\":%u,\"request_bytes\":%zu,\"request\":%s,\"quirks\":{", about->answer_max_bytes,
                     about->request.size, request ? "true" : "false");
    for (size_t i = 0; (name = dialect_quirk_name(i)); i++)
        umbel_out_printf(&out, "%s\"%s\":%s", i ? "," : "", name, dialect_quirk_is_on(about->quirks, i) ? "true" : "false");
    umbel_out_text(&out, "}}");
    if (!put_document(capture, CAPTURE_BEGIN, number, now_ns, &out) ||
        (request && !put_record(capture, CAPTURE_REQUEST, number, now_ns, about->request)))
        return 0;
    capture->next++;
    capture->answers++;
    stats_add(capture->daemon->stats, CORE_CAPTURE_ANSWERS, 1);
    return number;
}

static bool is_ours(const struct daemon_capture *capture, uint64_t number)
{
    return capture->on && number >= capture->first;
}

static void bytes(void *owner, uint64_t number, uint64_t at_ns, const char *data, size_t size)
{
    struct daemon_capture *capture = owner;

    if (is_ours(capture, number))
        put_record(capture, CAPTURE_BYTES, number, at_ns, span_of(data, size));
}

static void end(void *owner, uint64_t number, uint64_t at_ns, const struct upstream_record_end *about)
{
    static const char *const verdicts[] = {"", "complete", "truncated", "failed", "cancelled"};
    struct daemon_capture *capture = owner;
    const struct upstream_digest *digest = &about->digest;
    struct umbel_out out = {0};

    if (!is_ours(capture, number))
        return;
    umbel_out_text(&out, "{");
    put_text(&out, "how", upstream_record_how_word(about->how));
    put_text(&out, "verdict", about->how == RECORD_CANCELLED ? "cancelled" : verdicts[about->verdict]);
    umbel_out_printf(&out, ",\"clean\":%s,\"error\":%u", about->clean ? "true" : "false", about->error);
    put_text(&out, "text", about->text);
    umbel_out_printf(&out, ",\"events\":%llu,\"digest\":\"%016llx\",\"text_bytes\":%llu}", (unsigned long long)digest->events,
                     (unsigned long long)digest->sum, (unsigned long long)digest->text_bytes);
    put_document(capture, CAPTURE_END, number, at_ns, &out);
}

/* ---- on and off ---- */

static void tell_stopped(struct daemon_capture *capture, struct admin_request *request)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "\"file\":");
    umbel_out_json(&out, capture->path, strlen(capture->path));
    umbel_out_printf(&out, ",\"answers\":%llu,\"bytes\":%llu", (unsigned long long)capture->answers,
                     (unsigned long long)capture_file_bytes(capture->file));
    put_text(&out, "ended", capture->reason);
    umbel_out_put(&out, "", 1);
    admin_finish(request, out.failed ? NULL : out.data);
    umbel_out_free(&out);
}

static void close_file(struct daemon_capture *capture)
{
    if (capture->stopping)
        tell_stopped(capture, capture->stopping);
    capture->stopping = NULL;
    capture_file_close(capture->file);
    capture->file = NULL;
    uring_timer_clear(capture->daemon->loop, &capture->limit);
}

static void end_capture(struct daemon_capture *capture, const char *reason)
{
    uint64_t now_ns = clock_now_ns();
    struct umbel_out out = {0};

    if (!capture->on)
        return;
    capture->on = false;
    capture->reason = reason;
    stats_set(capture->daemon->stats, CORE_CAPTURING, 0);
    umbel_out_text(&out, "{");
    put_text(&out, "reason", reason);
    umbel_out_printf(&out, ",\"answers\":%llu}", (unsigned long long)capture->answers);
    struct capture_record record = {CAPTURE_STOP, 0, (now_ns - capture->begun_ns) / 1000, span_of(out.data, out.size)};
    if (!out.failed)
        capture_file_put_last(capture->file, &record);
    umbel_out_free(&out);
    capture_file_stop(capture->file);
    log_info("capture %s ends: %s; %llu answers", capture->path, reason, (unsigned long long)capture->answers);
    capture->rest_ns = now_ns + CAPTURE_CLOSE_MS * CLOCK_MS;
    uring_timer_set(capture->daemon->loop, &capture->limit, 0);
}

static void limit_fired(struct uring_timer *timer)
{
    struct daemon_capture *capture = list_entry(timer, struct daemon_capture, limit);
    enum capture_state state = capture_file_state(capture->file);

    if (!capture->on) {
        if (capture_file_is_written(capture->file) || clock_now_ns() > capture->rest_ns)
            close_file(capture);
        else
            uring_timer_set(capture->daemon->loop, &capture->limit, TICK_NS);
    } else if (state != CAPTURE_TAKES) {
        stats_add(capture->daemon->stats, CORE_CAPTURES_CUT, 1);
        end_capture(capture, capture_state_text(state));
    } else if (clock_now_ns() >= capture->until_ns) {
        end_capture(capture, "its time is over");
    } else {
        uint64_t left_ns = capture->until_ns - clock_now_ns();
        uring_timer_set(capture->daemon->loop, &capture->limit, left_ns < CLOCK_S ? left_ns : CLOCK_S);
    }
}

/* ---- commands ---- */

struct wish {
    const char *upstream, *app, *dir;
    uint64_t mb, ms;
};

static bool read_wish(const struct daemon *daemon, const struct umbel_json *arguments, struct wish *ret_wish, struct why *why)
{
    const char *mb = admin_option_value(arguments, "max-mb"), *time = admin_option_value(arguments, "for");
    struct wish wish = {admin_option_value(arguments, "upstream"), admin_option_value(arguments, "app"), admin_option_value(arguments, "dir"),
                        DEFAULT_MB, DEFAULT_MS};

    if (mb && (!number_parse_u64(mb, strlen(mb), &wish.mb) || wish.mb < 1 || wish.mb > MAX_MB))
        return why_set(why, 0, "--max-mb is a number from 1 to %u", MAX_MB), false;
    if (time && (!number_parse_duration(time, &wish.ms) || wish.ms > MAX_MS))
        return why_set(why, 0, "--for is a time up to 24h: 90s, 10m, 2h"), false;
    if (wish.upstream && (strlen(wish.upstream) >= NAME_MAX_ || !daemon_upstream_find((struct daemon *)(uintptr_t)daemon, wish.upstream)))
        return why_set(why, 0, "no upstream is called %.64s", wish.upstream), false;
    if (wish.app && (strlen(wish.app) >= NAME_MAX_ || daemon_find_app(daemon, wish.app) < 0))
        return why_set(why, 0, "no app is called %.64s", wish.app), false;
    if (wish.dir && wish.dir[0] != '/')
        return why_set(why, 0, "--dir is a folder that umbeld may write to, from / on"), false;
    *ret_wish = wish;
    return true;
}

/* The folder and a name in it that is not taken.  0 or -errno with words. */
static int open_file(struct daemon_capture *capture, const struct wish *wish, struct why *why)
{
    const char *state_dir = capture->daemon->config->state_dir;
    time_t now = (time_t)clock_wall_s();
    char when[32];
    struct tm utc;
    int r = -EEXIST;

    size_t size = wish->dir ? (size_t)snprintf(capture->path, sizeof capture->path, "%s", wish->dir)
                            : (size_t)snprintf(capture->path, sizeof capture->path, "%s/captures", state_dir);
    if (size + 64 > sizeof capture->path)
        return why_set(why, -ENAMETOOLONG, "the folder's name is too long");
    if (!wish->dir && mkdir(capture->path, 0700) == -1 && errno != EEXIST)
        return why_errno(why, errno, "cannot make the folder %s", capture->path);
    gmtime_r(&now, &utc);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &utc);
    for (unsigned i = 0; i < 10 && r == -EEXIST; i++) {
        snprintf(capture->path + size, sizeof capture->path - size, i ? "/%s-%u.umbelcap" : "/%s.umbelcap", when, i);
        r = capture_file_open(capture->path, wish->mb << 20, &capture->file, why);
    }
    return r;
}

static void put_info(struct daemon_capture *capture)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "{");
    put_text(&out, "umbel", UMBEL_VERSION);
    umbel_out_printf(&out, ",\"wall_s\":%llu", (unsigned long long)clock_wall_s());
    put_text(&out, "upstream", capture->upstream);
    put_text(&out, "app", capture->app);
    umbel_out_printf(&out, ",\"with_request\":%s,\"max_bytes\":%llu}", capture->with_request ? "true" : "false",
                     (unsigned long long)capture->max_bytes);
    put_document(capture, CAPTURE_INFO, 0, capture->begun_ns, &out);
}

static void put_state(struct daemon_capture *capture, struct umbel_out *out)
{
    umbel_out_printf(out, "\"capturing\":%s,\"file\":", capture->on ? "true" : "false");
    umbel_out_json(out, capture->path, strlen(capture->path));
    umbel_out_printf(out, ",\"answers\":%llu", (unsigned long long)capture->answers);
    if (capture->on) {
        uint64_t now_ns = clock_now_ns();
        umbel_out_printf(out, ",\"bytes\":%llu,\"max_bytes\":%llu,\"seconds_left\":%llu,\"with_request\":%s",
                         (unsigned long long)capture_file_bytes(capture->file), (unsigned long long)capture->max_bytes,
                         (unsigned long long)(now_ns < capture->until_ns ? (capture->until_ns - now_ns) / CLOCK_S : 0),
                         capture->with_request ? "true" : "false");
        put_text(out, "upstream", capture->upstream);
        put_text(out, "app", capture->app);
    } else {
        put_text(out, "ended", capture->reason);
    }
    umbel_out_put(out, "", 1);
}

static void tell_state(struct daemon_capture *capture, struct admin_request *request)
{
    struct umbel_out out = {0};

    put_state(capture, &out);
    admin_finish(request, out.failed ? NULL : out.data);
    umbel_out_free(&out);
}

static void capture_start(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct daemon_capture *capture = daemon->capture;
    struct wish wish;
    struct why why = {""};

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (capture->file) {
        admin_fail(request, "a capture runs already", "umbelctl capture stop ends it");
        return;
    }
    if (!read_wish(daemon, arguments, &wish, &why) || open_file(capture, &wish, &why) < 0) {
        capture->path[0] = '\0';
        admin_fail(request, why.text, "umbelctl help capture start");
        return;
    }
    snprintf(capture->upstream, sizeof capture->upstream, "%s", wish.upstream ? wish.upstream : "");
    snprintf(capture->app, sizeof capture->app, "%s", wish.app ? wish.app : "");
    capture->with_request = admin_option_value(arguments, "with-request") != NULL;
    capture->first = capture->next;
    capture->answers = 0;
    capture->max_bytes = wish.mb << 20;
    capture->begun_ns = clock_now_ns();
    capture->until_ns = capture->begun_ns + wish.ms * CLOCK_MS;
    capture->on = true;
    stats_set(daemon->stats, CORE_CAPTURING, 1);
    put_info(capture);
    uring_timer_set(daemon->loop, &capture->limit, wish.ms * CLOCK_MS < CLOCK_S ? wish.ms * CLOCK_MS : CLOCK_S);
    log_info("capture %s begins%s", capture->path, capture->with_request ? ", with the questions" : "");
    tell_state(capture, request);
}

static void stop_gone(void *owner)
{
    ((struct daemon_capture *)owner)->stopping = NULL;
}

static void capture_stop(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    struct daemon_capture *capture = daemon->capture;

    (void)arguments;
    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (!capture->file || capture->stopping) {
        admin_fail(request, capture->file ? "it is being stopped already" : "no capture runs",
                   capture->path[0] ? "umbelctl capture status tells of the last one" : "umbelctl capture start begins one");
        return;
    }
    capture->stopping = request; /* told when the file is whole */
    admin_on_gone(request, stop_gone, capture);
    end_capture(capture, "stopped by an operator");
}

static void capture_status(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;

    (void)arguments;
    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    tell_state(daemon->capture, request);
}

int daemon_capture_create(struct daemon *daemon)
{
    struct daemon_capture *capture = calloc(1, sizeof *capture);

    if (!capture)
        return -ENOMEM;
    *capture = (struct daemon_capture){.daemon = daemon, .next = 1, .reason = "", .recorder = {begin, bytes, end, capture}};
    capture->limit.fired = limit_fired;
    daemon->capture = capture;
    return 0;
}

const struct upstream_recorder *daemon_capture_recorder(const struct daemon_capture *capture)
{
    return capture ? &capture->recorder : NULL;
}

void daemon_capture_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "capture start", capture_start, daemon);
    admin_server_handle(daemon->admin, "capture stop", capture_stop, daemon);
    admin_server_handle(daemon->admin, "capture status", capture_status, daemon);
}

void daemon_capture_free(struct daemon *daemon)
{
    struct daemon_capture *capture = daemon->capture;

    if (!capture)
        return;
    if (capture->file) {
        end_capture(capture, "umbeld ended");
        close_file(capture);
    }
    free(capture);
    daemon->capture = NULL;
}
