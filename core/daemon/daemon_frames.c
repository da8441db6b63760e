/* daemon/daemon_frames.c - what a worker says on its channel, and what it is answered.  Nothing it says is trusted. */
#include "core/daemon/daemon_frames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/host.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/asking.h"
#include "core/daemon/daemon_handover.h"
#include "core/daemon/daemon_auth.h"
#include "core/daemon/daemon_confine.h"
#include "core/daemon/daemon_files.h"
#include "core/daemon/daemon_grants.h"
#include "core/daemon/daemon_resume.h"
#include "core/daemon/daemon_share.h"

#define ASKING_BYTES_MAX (64u << 20) /* questions of one host that wait for the history; more are told that we are busy */
#define WATCHED_MAX 16384u /* running streams told to one new watcher of an app; 256 KiB of a frame */

/* Frames to a host: filled by the caller between begin and send. */
void daemon_frames_send(struct daemon_host *h, struct control_out *out)
{
    if (control_end(out))
        host_send(&h->host, out);
    control_out_free(out);
}

static void send_kept(void *owner, const char *key, const void *value, size_t size)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_KEPT, 0);
    control_put_text(&out, key, strlen(key));
    control_put_text(&out, value, size);
    daemon_frames_send(owner, &out);
}

/* Once a minute, with how many there were. */
static void complain_kept(struct daemon_transport *transport)
{
    uint64_t now_ns = clock_now_ns();

    transport->not_kept++;
    if (transport->complained_ns && now_ns - transport->complained_ns < 60 * CLOCK_S)
        return;
    log_warn("transport %s wants more remembered than fits: %llu values were not kept", transport->config->name,
             (unsigned long long)transport->not_kept);
    transport->complained_ns = now_ns;
    transport->not_kept = 0;
}

static int on_keep(struct daemon_host *h, struct control_in *in)
{
    char key[CONTROL_TEXT_MAX + 1];

    control_get_string(in, key, sizeof key);
    struct span value = control_get_text(in, CONTROL_VALUE_MAX);
    if (!control_done(in) || !*key)
        return -EPROTO;
    if (kept_set(h->transport->kept, key, value.data, value.size) < 0)
        complain_kept(h->transport);
    return 0;
}

void daemon_frames_welcome(struct daemon_host *h)
{
    const struct config_transport *config = h->config;
    struct control_out out = {0};
    struct umbel_out options = {0};
    char stats[4096];
    int size = snprintf(stats, sizeof stats, "%s/stats", h->daemon->config->runtime_dir);

    h->welcomed = true;
    host_expect(&h->host, kept_bytes(h->transport->kept) + kept_count(h->transport->kept) * (CONTROL_HEADER + 16));
    if (!h->trial)
        kept_visit(h->transport->kept, send_kept, h);
    daemon_files_send(h);
    config_section_json(&config->options, &options);
    control_begin(&out, CONTROL_WELCOME, 0);
    control_put_text(&out, config->name, strlen(config->name));
    control_put_text(&out, options.data, options.size);
    control_put_text(&out, config->tls_cert, strlen(config->tls_cert));
    control_put_text(&out, config->tls_key, strlen(config->tls_key));
    control_put(&out, config->max_connections);
    control_put(&out, config->connect_rate);
    control_put(&out, config->slow_client_s);
    control_put(&out, config->drain_ms);
    control_put_text(&out, stats, (size_t)size);
    if (options.failed)
        out.failed = true;
    daemon_frames_send(h, &out);
    if (options.data)
        explicit_bzero(options.data, options.size); /* it holds this transport's secrets */
    umbel_out_free(&options);
}

static int on_hello(struct daemon_host *h, struct control_in *in)
{
    char plugin[64];

    uint64_t control_version = control_get(in);
    control_get_string(in, plugin, sizeof plugin);
    control_get_string(in, h->version, sizeof h->version);
    if (!control_done(in) || h->helloed)
        return -EPROTO;
    if (control_version != CONTROL_VERSION) {
        host_kill(&h->host, "umbel-host is not of the same release as this umbeld: upgrade the core too");
        return 0;
    }
    h->helloed = true;
    if (!daemon_handover_hello(h)) /* else it is welcome when those have ended whose work it takes over */
        daemon_frames_welcome(h);
    return 0;
}

void daemon_frames_began(struct daemon_host *h, uint64_t tag, uint32_t error, struct journal_ref ref, const char *text)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_BEGAN, tag);
    control_put(&out, error);
    control_put(&out, ref.slot);
    control_put(&out, ref.generation);
    control_put_text(&out, text, strlen(text));
    daemon_frames_send(h, &out);
}

/* A host's question that waits for the history. */
struct host_asking {
    struct list link; /* daemon_host.askings */
    struct daemon_host *host;
    struct asking *asking;
    uint64_t tag;
    struct daemon_share *share; /* its place, until it is the answer's */
    size_t bytes; /* of the question, copied while it waits */
};

static void asked(void *owner, uint32_t error, struct answer *answer, const char *text)
{
    struct host_asking *asking = owner;
    struct daemon_host *h = asking->host;

    list_remove(&asking->link);
    h->asking_bytes -= asking->bytes;
    if (error) {
        daemon_share_drop(asking->share);
        daemon_frames_began(h, asking->tag, error, (struct journal_ref){0, 0}, text);
    } else {
        answer->share = asking->share;
        answer_set_readers(answer, h->number, 1); /* until the host reports for itself */
        answer_read_by(answer, h->transport->config->name);
        daemon_frames_began(h, asking->tag, 0, answer->ref, "");
    }
    free(asking);
}

void daemon_frames_forget(struct daemon_host *h)
{
    list_for_each(link, spare, &h->askings) {
        struct host_asking *asking = list_entry(link, struct host_asking, link);
        asking_cancel(asking->asking);
        daemon_share_drop(asking->share);
        list_remove(link);
        free(asking);
    }
    h->asking_bytes = 0;
    daemon_resume_forget(h);
    daemon_auth_forget(h);
    daemon_grants_forget(h);
}

/* Which key or user the grant was given for, by a name that is fit for logs, and the limits a service gave this user. */
static void name_key(const struct daemon *daemon, uint64_t grant, struct answer_question *question)
{
    const struct config_list *names = &daemon->apps[question->app].config->key_names;
    struct daemon_grant_view view;
    size_t index;

    if (daemon_grants_view(daemon, grant, &view)) {
        question->key_name = view.user;
        question->key_limits = view.limits;
        return;
    }
    question->key = (uint32_t)(grant >> 32);
    if (daemon_grant_key(daemon, grant, &index) && index < names->count)
        question->key_name = names->items[index];
}

static int on_ask(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char session[CONTROL_TEXT_MAX + 1], model[CONTROL_TEXT_MAX + 1];
    struct answer_question question = {
        .session = session, .model = model, .transport = h->transport->config->name, .asker = tag, .key_name = ""};

    uint64_t grant = control_get(in);
    question.flags = (uint32_t)control_get(in);
    control_get_string(in, session, sizeof session);
    control_get_string(in, model, sizeof model);
    question.messages = control_get_text(in, CONTROL_BODY_MAX);
    question.parameters = control_get_text(in, CONTROL_BODY_MAX);
    if (!control_done(in))
        return -EPROTO;
    if (!daemon_grant_app(h->daemon, h->transport, grant, &question.app)) {
        daemon_frames_began(h, tag, UMBEL_ERROR_AUTH, (struct journal_ref){0, 0}, "");
        return 0;
    }
    if (strlen(session) >= JOURNAL_SESSION_MAX) {
        daemon_frames_began(h, tag, UMBEL_ERROR_BAD_REQUEST, (struct journal_ref){0, 0}, "session is longer than 127 bytes");
        return 0;
    }
    name_key(h->daemon, grant, &question);
    size_t bytes = question.messages.size + question.parameters.size;
    struct daemon_share *share = daemon_share_take(&h->transport->share, h->transport->config->max_questions);
    struct host_asking *asking = share && h->asking_bytes + bytes <= ASKING_BYTES_MAX ? malloc(sizeof *asking) : NULL;
    if (!asking) {
        stats_add(h->daemon->stats, CORE_QUESTIONS_FULL, !share);
        daemon_share_drop(share);
        daemon_frames_began(h, tag, UMBEL_ERROR_BUSY, (struct journal_ref){0, 0}, "");
        return 0;
    }
    *asking = (struct host_asking){.host = h, .tag = tag, .share = share, .bytes = bytes};
    h->asking_bytes += bytes;
    list_init(&asking->link);
    struct asking *waits;
    asking_begin(h->daemon, &question, asked, asking, &waits);
    if (waits) {
        asking->asking = waits;
        list_append(&h->askings, &asking->link);
    }
    return 0;
}

static int on_watch(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char name[CONTROL_TEXT_MAX + 1];
    struct journal_ref *refs;
    struct control_out out = {0};
    uint64_t count = 0, others = 0;
    uint32_t app;

    uint64_t grant = control_get(in);
    control_get_string(in, name, sizeof name);
    if (!control_done(in))
        return -EPROTO;
    uint32_t live = answer_table_live(h->daemon->answers), room = live < WATCHED_MAX ? live : WATCHED_MAX;
    refs = malloc((room + 1) * sizeof *refs);
    if (!refs)
        room = 0;
    bool allowed = daemon_grant_app(h->daemon, h->transport, grant, &app);
    struct session *session = allowed && *name ? session_find(h->daemon->sessions, app, name) : NULL;
    if (allowed && !*name)
        count = answer_live_refs(h->daemon->answers, app, refs, room, &others);
    if (session)
        list_for_each(link, spare, &session->streams) {
            if (count < room)
                refs[count++] = list_entry(link, struct answer, in_session)->ref;
            else
                others++;
        }
    stats_add(h->daemon->stats, CORE_WATCH_CUT, others);
    control_begin(&out, CONTROL_WATCHED, tag);
    control_put(&out, allowed ? 0 : UMBEL_ERROR_AUTH);
    control_put_text(&out, "", 0);
    control_put(&out, count);
    for (uint64_t i = 0; i < count; i++) {
        control_put(&out, refs[i].slot);
        control_put(&out, refs[i].generation);
    }
    daemon_frames_send(h, &out);
    free(refs);
    return 0;
}

/* What begins with a grant and is worth asking again whether that still holds. */
static int act(struct daemon_host *h, uint32_t type, uint64_t tag, struct control_in *in)
{
    return type == CONTROL_ASK ? on_ask(h, tag, in) : type == CONTROL_RESUME ? daemon_resume(h, tag, in) : on_watch(h, tag, in);
}

static void refuse(struct daemon_host *h, uint32_t type, uint64_t tag, const struct daemon_refusal *refusal)
{
    struct control_out out = {0};

    if (type != CONTROL_WATCH) {
        daemon_frames_began(h, tag, refusal->error, (struct journal_ref){0, 0}, refusal->text);
        return;
    }
    control_begin(&out, CONTROL_WATCHED, tag);
    control_put(&out, refusal->error);
    control_put_text(&out, refusal->text, strlen(refusal->text));
    control_put(&out, 0);
    daemon_frames_send(h, &out);
}

static int on_granted(struct daemon_host *h, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct daemon_refusal refusal;

    switch (daemon_grants_gate(h, type, tag, in, &refusal)) {
    case GRANT_GOES:
        return act(h, type, tag, in);
    case GRANT_REFUSED:
        refuse(h, type, tag, &refusal);
        return 0;
    default:
        return 0;
    }
}

void daemon_frames_again(struct daemon_host *h, uint32_t type, uint64_t tag, struct control_in *in, const struct daemon_refusal *refusal)
{
    if (refusal) {
        refuse(h, type, tag, refusal);
    } else if (act(h, type, tag, in) < 0) {
        stats_add(h->daemon->stats, CORE_CONTROL_BAD, 1);
        host_kill(&h->host, "it broke the control protocol");
    }
}

static int on_leave(struct daemon_host *h, struct control_in *in)
{
    uint64_t grant = control_get(in);

    if (!control_done(in))
        return -EPROTO;
    daemon_grants_leave(h, grant);
    return 0;
}

/* An answer that this host's client may stop: of its app, or one it reads already though the app or the key has been taken away. */
static struct answer *find_stoppable(struct daemon_host *h, uint64_t grant, const char *id)
{
    int was = daemon_grant_was(h->daemon, grant);
    struct answer *answer = was >= 0 ? answer_find(h->daemon->answers, was, id) : NULL;
    uint32_t app;

    if (!answer || daemon_grant_app(h->daemon, h->transport, grant, &app) || answer_has_readers(answer, h->number))
        return answer;
    return NULL;
}

static int on_stop(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char id[CONTROL_TEXT_MAX + 1];
    struct control_out out = {0};
    uint64_t grant = control_get(in);
    control_get_string(in, id, sizeof id);
    if (!control_done(in))
        return -EPROTO;
    struct answer *answer = find_stoppable(h, grant, id);
    control_begin(&out, CONTROL_STOPPED, tag);
    control_put(&out, answer ? 0 : UMBEL_ERROR_NOT_FOUND);
    daemon_frames_send(h, &out);
    if (answer)
        answer_cancel(answer);
    return 0;
}

static int on_readers(struct daemon_host *h, struct control_in *in)
{
    uint64_t slot = control_get(in), generation = control_get(in), count = control_get(in);

    if (!control_done(in) || slot > UINT32_MAX || generation > UINT32_MAX || count > UINT32_MAX)
        return -EPROTO;
    struct answer *answer =
        answer_by_ref(h->daemon->answers, (struct journal_ref){(uint32_t)slot, (uint32_t)generation});
    /* else it was forgotten meanwhile, or is none of this transport's */
    if (answer && (daemon_serves(h->daemon, h->transport, answer->app) || answer_has_readers(answer, h->number))) {
        answer_set_readers(answer, h->number, (uint32_t)count);
        if (count)
            answer_read_by(answer, h->transport->config->name);
    }
    return 0;
}

int daemon_frames_take(void *owner, struct host *host, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct daemon_host *h = (struct daemon_host *)(void *)host;
    struct daemon *daemon = owner;
    int r = -EPROTO;

    if (h->trial && type != CONTROL_HELLO && type != CONTROL_READY && type != CONTROL_CONFINED)
        return 0; /* whatever its plugin asks or keeps in open(): it will not be there to hear of it */
    switch (type) {
    case CONTROL_CONFINED:
        r = daemon_confine_told(h, in);
        break;
    case CONTROL_HELLO:
        r = on_hello(h, in);
        break;
    case CONTROL_READY:
        r = h->welcomed ? 0 : -EPROTO;
        if (r == 0 && !daemon_handover_tried(h))
            host_ready(host);
        break;
    case CONTROL_AUTH:
        r = daemon_auth_take(h, tag, in);
        break;
    case CONTROL_LEAVE:
        r = on_leave(h, in);
        break;
    case CONTROL_ASK:
    case CONTROL_RESUME:
    case CONTROL_WATCH:
        r = on_granted(h, type, tag, in);
        break;
    case CONTROL_STOP:
        r = on_stop(h, tag, in);
        break;
    case CONTROL_READERS:
        r = on_readers(h, in);
        break;
    case CONTROL_KEEP:
        r = on_keep(h, in);
        break;
    case CONTROL_REPLIED:
        r = daemon_command_replied(h, tag, in);
        break;
    case CONTROL_DRAINED:
        h->drained = true;
        r = 0;
        break;
    default:
        break;
    }
    if (r == -EPROTO)
        stats_add(daemon->stats, CORE_CONTROL_BAD, 1);
    return r;
}
