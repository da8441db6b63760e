#include "core/daemon/daemon_auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/host.h>

#include "core/daemon/daemon_authorize.h"
#include "core/daemon/daemon_frames.h"
#include "core/daemon/daemon_trail.h"
#include "core/daemon/daemon_grants.h"
#include "core/parse/utf8.h"

/* One client that waits. */
struct daemon_auth {
    struct list link; /* daemon_host.auths */
    struct daemon_host *host;
    uint64_t tag;
    struct authorize_ask ask;
    size_t credential, app; /* at hand: of credentials, of the transport's apps */
    uint32_t asked_app;     /* whose service is being asked */
    bool denied;            /* a service has said no: the anonymous app is not for this client any more */
    struct daemon_grant_owner open; /* whom on_failure = open lets in if no service allows; value.data NULL = nobody */
    uint32_t error;         /* the refusal so far */
    char text[AUTHORIZE_MESSAGE_MAX + 1];
    char client_ip[DAEMON_AUTH_IP_MAX];
    size_t count, size;
    struct umbel_credential_view credentials[CONTROL_CREDENTIALS_MAX]; /* values in bytes */
    char bytes[];
};

const char *daemon_auth_kind(uint32_t kind)
{
    return kind == UMBEL_CREDENTIAL_PUBLIC_ID ? "public_id" : "key";
}

static void answer(struct daemon_host *h, uint64_t tag, uint32_t error, uint64_t grant, const char *text)
{
    struct control_out out = {0};
    const char *name = "";
    uint32_t app;

    if (grant && daemon_grant_app(h->daemon, h->transport, grant, &app))
        name = h->daemon->apps[app].config->name;
    stats_add(h->daemon->stats, !error ? CORE_AUTH_OK : error == UMBEL_ERROR_BUSY ? CORE_AUTH_UNCHECKED : CORE_AUTH_BAD, 1);
    if (error)
        daemon_trail_refused(h->daemon, name, h->transport->config->name, error, "credential");
    control_begin(&out, CONTROL_AUTHED, tag);
    control_put(&out, error);
    control_put(&out, grant);
    control_put_text(&out, name, strlen(name));
    control_put_text(&out, text, strlen(text));
    daemon_frames_send(h, &out);
}

static void auth_free(struct daemon_auth *auth)
{
    struct daemon_host *h = auth->host;

    authorize_forget(&auth->ask);
    list_remove(&auth->link);
    h->auth_count--;
    h->auth_bytes -= auth->size;
    explicit_bzero(auth->bytes, auth->size);
    free(auth);
}

static void allow(struct daemon_auth *auth, const struct daemon_grant_owner *of, const struct authorize_verdict *verdict)
{
    uint64_t grant = daemon_grants_add(auth->host, of, verdict);

    if (grant)
        answer(auth->host, auth->tag, 0, grant, "");
    else
        answer(auth->host, auth->tag, UMBEL_ERROR_BUSY, 0, DAEMON_AUTH_CANNOT_CHECK);
    auth_free(auth);
}

/* A user that is known but may not now says more than a check that failed, and that more than a credential that nobody knows. */
static int weight(uint32_t error)
{
    return error == UMBEL_ERROR_QUOTA || error == UMBEL_ERROR_RATE ? 3 : error == UMBEL_ERROR_BUSY ? 2 : error == UMBEL_ERROR_AUTH ? 1 : 0;
}

static void note_refusal(struct daemon_auth *auth, uint32_t error, const char *text)
{
    if (weight(error) <= weight(auth->error))
        return;
    auth->error = error;
    snprintf(auth->text, sizeof auth->text, "%s", text);
}

/* What a service says of the credential at hand; true: the client is answered and auth is gone. */
static bool take_verdict(struct daemon_auth *auth, uint32_t app, const struct authorize_verdict *verdict)
{
    const struct umbel_credential_view *credential = &auth->credentials[auth->credential];
    const struct daemon_grant_owner of = {
        .app = app, .kind = credential->kind, .credential = credential->value, .client_ip = auth->client_ip};

    switch (verdict->result) {
    case AUTHORIZE_ALLOW:
        allow(auth, &of, verdict);
        return true;
    case AUTHORIZE_DENY:
        auth->denied = true;
        note_refusal(auth, daemon_authorize_error(verdict), verdict->message);
        return false;
    default:
        if (auth->host->daemon->apps[app].config->authorize.fail_open && !verdict->overload) {
            if (!auth->open.credential.data)
                auth->open = of;
        } else {
            auth->denied = true;
            note_refusal(auth, UMBEL_ERROR_BUSY, DAEMON_AUTH_CANNOT_CHECK);
        }
        return false;
    }
}

static void finish(struct daemon_auth *auth)
{
    static const struct authorize_verdict failed = {.result = AUTHORIZE_FAILED, .message = "", .user = ""};

    if (auth->open.credential.data && daemon_serves(auth->host->daemon, auth->host->transport, auth->open.app)) {
        allow(auth, &auth->open, &failed);
        return;
    }
    answer(auth->host, auth->tag, auth->error ? auth->error : UMBEL_ERROR_AUTH, 0, auth->text);
    auth_free(auth);
}

static void asked(struct authorize_ask *ask, const struct authorize_verdict *verdict);

/* The number of the transport's app at hand if it has a service, else -1. */
static int service_at(const struct daemon_auth *auth)
{
    const struct config_list *apps = &auth->host->transport->config->apps;
    int app = daemon_find_app(auth->host->daemon, apps->items[auth->app]);

    return app >= 0 && daemon_authorize_wanted(auth->host->daemon, (uint32_t)app) ? app : -1;
}

/* Asks about the credential at hand until something must be waited for (false) or all apps have been asked (true); *ret_over: auth is gone. */
static bool ask_services(struct daemon_auth *auth, bool *ret_over)
{
    struct daemon_host *h = auth->host;
    const struct umbel_credential_view *credential = &auth->credentials[auth->credential];
    struct authorize_verdict verdict;

    for (; auth->app < h->transport->config->apps.count; auth->app++) {
        int app = service_at(auth);
        if (app < 0)
            continue;
        const struct authorize_question question = {.app = h->daemon->apps[app].config->name,
                                                    .transport = h->transport->config->name,
                                                    .kind = daemon_auth_kind(credential->kind),
                                                    .client_ip = auth->client_ip,
                                                    .credential = credential->value};
        auth->ask.done = asked;
        auth->asked_app = (uint32_t)app;
        if (!daemon_authorize_ask(h->daemon, (uint32_t)app, &question, &auth->ask, &verdict))
            return false;
        *ret_over = take_verdict(auth, (uint32_t)app, &verdict);
        if (*ret_over)
            return true;
    }
    return true;
}

/* A service is told text: what is none cannot be its. */
static bool may_be_told(const struct umbel_credential_view *credential)
{
    return (credential->kind == UMBEL_CREDENTIAL_KEY || credential->kind == UMBEL_CREDENTIAL_PUBLIC_ID) && credential->value.size > 0 &&
           utf8_whole(credential->value.data, credential->value.size) == credential->value.size;
}

static void go_on(struct daemon_auth *auth)
{
    bool over = false;

    for (; auth->credential < auth->count; auth->credential++, auth->app = 0) {
        const struct umbel_credential_view *credential = &auth->credentials[auth->credential];
        if (credential->kind == UMBEL_CREDENTIAL_APP) {
            uint64_t grant = auth->denied || auth->open.credential.data
                                 ? 0
                                 : daemon_find_grant(auth->host->daemon, auth->host->transport, credential, 1);
            if (!grant)
                continue;
            answer(auth->host, auth->tag, 0, grant, "");
            auth_free(auth);
            return;
        }
        if (may_be_told(credential) && (!ask_services(auth, &over) || over))
            return;
    }
    finish(auth);
}

static void asked(struct authorize_ask *ask, const struct authorize_verdict *verdict)
{
    struct daemon_auth *auth = list_entry(ask, struct daemon_auth, ask);
    const struct daemon_host *h = auth->host;
    uint32_t app = auth->asked_app; /* not the app at this place of the list: that may be another one since a reload */

    if (daemon_serves(h->daemon, h->transport, app) && daemon_authorize_wanted(h->daemon, app) && take_verdict(auth, app, verdict))
        return;
    if (auth->app < h->transport->config->apps.count && service_at(auth) == (int)app)
        auth->app++;
    else
        auth->app = 0; /* the list is another one: from its beginning, what was answered is kept */
    go_on(auth);
}

static bool has_service(const struct daemon_host *h)
{
    const struct config_list *apps = &h->transport->config->apps;

    for (size_t i = 0; i < apps->count; i++) {
        int app = daemon_find_app(h->daemon, apps->items[i]);
        if (app >= 0 && daemon_authorize_wanted(h->daemon, (uint32_t)app))
            return true;
    }
    return false;
}

static bool take_address(const char *from, size_t size, char ret_ip[DAEMON_AUTH_IP_MAX])
{
    char text[DAEMON_AUTH_IP_MAX];
    unsigned char address[16];

    if (size >= sizeof text)
        return false;
    memcpy(text, from, size);
    text[size] = '\0';
    if (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1)
        return false;
    memcpy(ret_ip, text, size + 1);
    return true;
}

/* "192.0.2.1", "192.0.2.1:5000", "2001:db8::1", "[2001:db8::1]:5000" to the address; anything else is none. */
static void address_of(const char *peer, char ret_ip[DAEMON_AUTH_IP_MAX])
{
    const char *from = *peer == '[' ? peer + 1 : peer, *end = *peer == '[' ? strchr(peer, ']') : strrchr(peer, ':');

    ret_ip[0] = '\0';
    if (!take_address(peer, strlen(peer), ret_ip) && end)
        take_address(from, (size_t)(end - from), ret_ip);
}

static void wait_for_services(struct daemon_host *h, uint64_t tag, const struct umbel_credential_view *credentials, size_t count,
                              const char *peer)
{
    struct daemon_auth *auth = NULL;
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += credentials[i].value.size;
    if (h->auth_count < AUTHS_MAX && h->auth_bytes + size <= AUTH_BYTES_MAX)
        auth = calloc(1, sizeof *auth + size);
    if (!auth) {
        stats_add(h->daemon->stats, CORE_AUTH_WAITING_FULL, 1);
        answer(h, tag, UMBEL_ERROR_BUSY, 0, DAEMON_AUTH_CANNOT_CHECK);
        return;
    }
    auth->host = h;
    auth->tag = tag;
    auth->count = count;
    auth->size = size;
    list_init(&auth->ask.link);
    address_of(peer, auth->client_ip);
    char *at = auth->bytes;
    for (size_t i = 0; i < count; i++) {
        auth->credentials[i] = (struct umbel_credential_view){credentials[i].kind, span_of(at, credentials[i].value.size)};
        memcpy(at, credentials[i].value.data, credentials[i].value.size);
        at += credentials[i].value.size;
    }
    list_append(&h->auths, &auth->link);
    h->auth_count++;
    h->auth_bytes += size;
    go_on(auth);
}

/* Keys of the configuration first, whatever else the client shows: they need no service. */
static uint64_t find_key(struct daemon_host *h, const struct umbel_credential_view *credentials, size_t count)
{
    uint64_t grant = 0;

    for (size_t i = 0; i < count && !grant; i++)
        if (credentials[i].kind != UMBEL_CREDENTIAL_APP)
            grant = daemon_find_grant(h->daemon, h->transport, &credentials[i], 1);
    return grant;
}

/* Where they came in: in the loop's receive buffer, which goes on to others, or in the parser's memory.  Both are ours to write to. */
static void wipe(const struct umbel_credential_view *credentials, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (credentials[i].value.size)
            explicit_bzero((void *)(uintptr_t)credentials[i].value.data, credentials[i].value.size);
}

int daemon_auth_take(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    struct umbel_credential_view credentials[CONTROL_CREDENTIALS_MAX];
    char peer[CONTROL_TEXT_MAX + 1];
    uint64_t count = control_get(in), grant;

    if (count > CONTROL_CREDENTIALS_MAX)
        return -EPROTO;
    for (uint64_t i = 0; i < count; i++) {
        credentials[i].kind = (uint32_t)control_get(in);
        credentials[i].value = control_get_text(in, CONTROL_CREDENTIAL_MAX);
    }
    control_get_string(in, peer, sizeof peer);
    if (!control_done(in))
        return -EPROTO;
    bool services = has_service(h);
    grant = services ? find_key(h, credentials, count) : daemon_find_grant(h->daemon, h->transport, credentials, count);
    if (grant || !services)
        answer(h, tag, grant ? 0 : UMBEL_ERROR_AUTH, grant, "");
    else
        wait_for_services(h, tag, credentials, count, peer);
    wipe(credentials, count);
    return 0;
}

void daemon_auth_forget(struct daemon_host *h)
{
    while (!list_is_empty(&h->auths))
        auth_free(list_entry(h->auths.next, struct daemon_auth, link));
}
