/* daemon/daemon_frames.c - what a worker says on its channel, and what it is answered.  Nothing it says is trusted. */
#include "core/daemon/daemon_frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/host.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/answer.h"
#include "core/daemon/asking.h"

#define ASKING_BYTES_MAX (64u << 20) /* questions of one host that wait for the history; more are told that we are busy */
#define WATCHED_MAX 64u /* running streams told to one new watcher */

/* Frames to a host: filled by the caller between begin and send. */
static void send_frame(struct daemon_host *h, struct control_out *out)
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
    send_frame(owner, &out);
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

static int on_hello(struct daemon_host *h, struct control_in *in)
{
    const struct config_transport *config = h->transport->config;
    struct control_out out = {0};
    struct umbel_out options = {0};
    char plugin[64], version[64];

    uint64_t control_version = control_get(in);
    control_get_string(in, plugin, sizeof plugin);
    control_get_string(in, version, sizeof version);
    if (!control_done(in) || control_version != CONTROL_VERSION || h->helloed)
        return -EPROTO;
    h->helloed = true;
    host_expect(&h->host, kept_bytes(h->transport->kept) + kept_count(h->transport->kept) * (CONTROL_HEADER + 16));
    kept_visit(h->transport->kept, send_kept, h);
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
    if (options.failed)
        out.failed = true;
    send_frame(h, &out);
    if (options.data)
        explicit_bzero(options.data, options.size); /* it holds this transport's secrets */
    umbel_out_free(&options);
    return 0;
}

static int on_auth(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    struct umbel_credential_view credentials[CONTROL_CREDENTIALS_MAX];
    struct control_out out = {0};
    uint64_t count = control_get(in);
    uint32_t app = 0;

    if (count > CONTROL_CREDENTIALS_MAX)
        return -EPROTO;
    for (uint64_t i = 0; i < count; i++) {
        credentials[i].kind = (uint32_t)control_get(in);
        credentials[i].value = control_get_text(in, CONTROL_CREDENTIAL_MAX);
    }
    if (!control_done(in))
        return -EPROTO;
    uint64_t grant = daemon_authorize(h->daemon, h->transport, credentials, count);
    const char *name = "";
    if (grant && daemon_grant_app(h->daemon, h->transport, grant, &app))
        name = h->daemon->apps[app].config->name;
    stats_add(h->daemon->stats, grant ? CORE_AUTH_OK : CORE_AUTH_BAD, 1);
    control_begin(&out, CONTROL_AUTHED, tag);
    control_put(&out, grant ? 0 : UMBEL_ERROR_AUTH);
    control_put(&out, grant);
    control_put_text(&out, name, strlen(name));
    control_put_text(&out, "", 0);
    send_frame(h, &out);
    return 0;
}

static void send_began(struct daemon_host *h, uint64_t tag, uint32_t error, struct journal_ref ref, const char *text)
{
    struct control_out out = {0};

    control_begin(&out, CONTROL_BEGAN, tag);
    control_put(&out, error);
    control_put(&out, ref.slot);
    control_put(&out, ref.generation);
    control_put_text(&out, text, strlen(text));
    send_frame(h, &out);
}

/* A host's question that waits for the history. */
struct host_asking {
    struct list link; /* daemon_host.askings */
    struct daemon_host *host;
    struct asking *asking;
    uint64_t tag;
    size_t bytes; /* of the question, copied while it waits */
};

static void asked(void *owner, uint32_t error, struct answer *answer, const char *text)
{
    struct host_asking *asking = owner;
    struct daemon_host *h = asking->host;

    list_remove(&asking->link);
    h->asking_bytes -= asking->bytes;
    if (error) {
        send_began(h, asking->tag, error, (struct journal_ref){0, 0}, text);
    } else {
        answer_set_readers(answer, h->number, 1); /* until the host reports for itself */
        send_began(h, asking->tag, 0, answer->ref, "");
    }
    free(asking);
}

void daemon_frames_forget(struct daemon_host *h)
{
    list_for_each(link, spare, &h->askings) {
        struct host_asking *asking = list_entry(link, struct host_asking, link);
        asking_cancel(asking->asking);
        list_remove(link);
        free(asking);
    }
    h->asking_bytes = 0;
}

static int on_ask(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char session[CONTROL_TEXT_MAX + 1], model[CONTROL_TEXT_MAX + 1];
    struct answer_question question = {.session = session, .model = model, .transport = h->transport->config->name};

    uint64_t grant = control_get(in);
    question.flags = (uint32_t)control_get(in);
    control_get_string(in, session, sizeof session);
    control_get_string(in, model, sizeof model);
    question.messages = control_get_text(in, CONTROL_BODY_MAX);
    question.parameters = control_get_text(in, CONTROL_BODY_MAX);
    if (!control_done(in))
        return -EPROTO;
    if (!daemon_grant_app(h->daemon, h->transport, grant, &question.app)) {
        send_began(h, tag, UMBEL_ERROR_AUTH, (struct journal_ref){0, 0}, "");
        return 0;
    }
    if (strlen(session) >= JOURNAL_SESSION_MAX) {
        send_began(h, tag, UMBEL_ERROR_BAD_REQUEST, (struct journal_ref){0, 0}, "session is longer than 127 bytes");
        return 0;
    }
    size_t bytes = question.messages.size + question.parameters.size;
    struct host_asking *asking = h->asking_bytes + bytes <= ASKING_BYTES_MAX ? malloc(sizeof *asking) : NULL;
    if (!asking) {
        send_began(h, tag, UMBEL_ERROR_BUSY, (struct journal_ref){0, 0}, "");
        return 0;
    }
    *asking = (struct host_asking){.host = h, .tag = tag, .bytes = bytes};
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

static int on_resume(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char id[CONTROL_TEXT_MAX + 1];
    struct answer *answer = NULL;
    uint32_t app;

    uint64_t grant = control_get(in);
    control_get_string(in, id, sizeof id);
    if (!control_done(in))
        return -EPROTO;
    if (daemon_grant_app(h->daemon, h->transport, grant, &app))
        answer = answer_find(h->daemon->answers, (int)app, id);
    if (answer)
        send_began(h, tag, 0, answer->ref, "");
    else
        send_began(h, tag, UMBEL_ERROR_NOT_FOUND, (struct journal_ref){0, 0}, "no such answer");
    return 0;
}

static int on_watch(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char name[CONTROL_TEXT_MAX + 1];
    struct journal_ref refs[WATCHED_MAX];
    struct control_out out = {0};
    uint64_t count = 0;
    uint32_t app;

    uint64_t grant = control_get(in);
    control_get_string(in, name, sizeof name);
    if (!control_done(in))
        return -EPROTO;
    bool allowed = daemon_grant_app(h->daemon, h->transport, grant, &app);
    struct session *session = allowed && *name ? session_find(h->daemon->sessions, app, name) : NULL;
    if (allowed && !*name)
        count = answer_live_refs(h->daemon->answers, app, refs, WATCHED_MAX);
    if (session)
        list_for_each(link, spare, &session->streams) if (count < WATCHED_MAX)
            refs[count++] = list_entry(link, struct answer, in_session)->ref;
    control_begin(&out, CONTROL_WATCHED, tag);
    control_put(&out, allowed ? 0 : UMBEL_ERROR_AUTH);
    control_put(&out, count);
    for (uint64_t i = 0; i < count; i++) {
        control_put(&out, refs[i].slot);
        control_put(&out, refs[i].generation);
    }
    send_frame(h, &out);
    return 0;
}

static int on_stop(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char id[CONTROL_TEXT_MAX + 1];
    struct control_out out = {0};
    struct answer *answer = NULL;
    uint32_t app;

    uint64_t grant = control_get(in);
    control_get_string(in, id, sizeof id);
    if (!control_done(in))
        return -EPROTO;
    if (daemon_grant_app(h->daemon, h->transport, grant, &app))
        answer = answer_find(h->daemon->answers, (int)app, id);
    control_begin(&out, CONTROL_STOPPED, tag);
    control_put(&out, answer ? 0 : UMBEL_ERROR_NOT_FOUND);
    send_frame(h, &out);
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
    if (answer && daemon_serves(h->daemon, h->transport, answer->app))
        answer_set_readers(answer, h->number, (uint32_t)count);
    return 0;
}

int daemon_frames_take(void *owner, struct host *host, uint32_t type, uint64_t tag, struct control_in *in)
{
    struct daemon_host *h = (struct daemon_host *)(void *)host;
    struct daemon *daemon = owner;
    int r = -EPROTO;

    switch (type) {
    case CONTROL_HELLO:
        r = on_hello(h, in);
        break;
    case CONTROL_READY:
        r = h->helloed ? 0 : -EPROTO;
        if (r == 0)
            host_ready(host);
        break;
    case CONTROL_AUTH:
        r = on_auth(h, tag, in);
        break;
    case CONTROL_ASK:
        r = on_ask(h, tag, in);
        break;
    case CONTROL_RESUME:
        r = on_resume(h, tag, in);
        break;
    case CONTROL_WATCH:
        r = on_watch(h, tag, in);
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
