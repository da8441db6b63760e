/* plugin-check/fake_host.c - the calls of struct umbel_host, and the loop. */
#include "tools/plugin-check/fake_host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/plugin-check/fake_host_internal.h"

static struct fake_host *of(const struct umbel_host *table)
{
    return table->context;
}

void *fake_memory(size_t size)
{
    void *memory = calloc(1, size);

    if (!memory)
        abort();
    return memory;
}

char *fake_copy(const char *text)
{
    if (!text)
        return NULL;
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

char *fake_copy_bytes(const char *bytes, uint64_t size)
{
    if (!bytes)
        return NULL;
    char *copy = fake_memory(size + 1);
    memcpy(copy, bytes, size);
    return copy;
}

/* --- clients --- */

static struct umbel_client *client_open(const struct umbel_host *table, const struct umbel_codec *codec, void *self, void *client_data,
                                        const char *peer)
{
    struct fake_host *host = of(table);

    (void)peer;
    if (host->refuse_clients)
        return NULL;
    struct umbel_client *client = fake_memory(sizeof *client);
    client->host = host;
    client->codec = codec;
    client->self = self;
    client->client_data = client_data;
    list_init(&client->readers);
    list_init(&client->watches);
    list_append(&host->clients, &client->link);
    host->stats.opened++;
    host->stats.clients++;
    return client;
}

static void leave(struct umbel_reader *reader)
{
    struct fake_host *host = reader->client->host;

    if (reader->gone)
        return;
    host->stats.left++;
    host->stats.live_readers--;
    fake_reader_remove(reader);
}

static void watch_free(struct fake_watch *watch)
{
    list_remove(&watch->link);
    free(watch->session);
    free(watch);
}

static void client_close(struct umbel_client *client)
{
    struct fake_host *host = client->host;

    if (client->gone) {
        fprintf(stderr, "fake_host: client_close twice\n");
        abort();
    }
    client->gone = true;
    host->dead_clients = true;
    host->stats.closed++;
    host->stats.clients--;
    list_for_each(link, spare, &client->readers)
        leave(list_entry(link, struct umbel_reader, of_client));
    while (!list_is_empty(&client->watches))
        watch_free(list_entry(client->watches.next, struct fake_watch, link));
}

struct fake_job *fake_job_add(struct umbel_client *client, enum fake_job_kind kind, uint64_t tag)
{
    struct fake_job *job = fake_memory(sizeof *job);

    if (client->gone) {
        fprintf(stderr, "fake_host: a call for a closed client\n");
        abort();
    }
    job->kind = kind;
    job->client = client;
    job->tag = tag;
    list_append(&client->host->jobs, &job->link);
    return job;
}

static void job_free(struct fake_job *job)
{
    list_remove(&job->link);
    free(job->session);
    free(job->messages);
    free(job->model);
    free(job->parameters);
    free(job);
}

static const char *app_of(const struct fake_host *host, const struct umbel_credential *credential)
{
    list_for_each(link, spare, &host->keys) {
        struct fake_key *key = list_entry(link, struct fake_key, link);
        if (key->kind == credential->kind && strlen(key->value) == credential->size &&
            !memcmp(key->value, credential->value, credential->size))
            return key->app;
    }
    return NULL;
}

static void authorize(struct umbel_client *client, const struct umbel_credential *credentials, uint32_t count)
{
    struct fake_job *job = fake_job_add(client, FAKE_AUTHORIZED, 0);

    client->host->stats.authorizes++;
    for (uint32_t i = 0; i < count && !job->app; i++)
        job->app = app_of(client->host, &credentials[i]);
}

static int ask(struct umbel_client *client, uint64_t tag, const struct umbel_request *request)
{
    if (client->host->refuse_asks)
        return client->host->refuse_asks;
    if (!client->app)
        return -EPERM;
    client->host->stats.asks++;
    struct fake_job *job = fake_job_add(client, FAKE_ASK, tag);
    job->flags = request->flags;
    job->session = fake_copy(request->session ? request->session : "");
    job->messages = fake_copy_bytes(request->messages, request->messages_size);
    job->model = fake_copy(request->model);
    job->parameters = fake_copy_bytes(request->parameters, request->parameters_size);
    return 0;
}

static int watch(struct umbel_client *client, uint64_t tag, const char *session)
{
    if (!client->app)
        return -EPERM;
    client->host->stats.watches++;
    fake_job_add(client, FAKE_WATCH, tag)->session = fake_copy(session);
    return 0;
}

static void unwatch(struct umbel_client *client, uint64_t tag)
{
    list_for_each(link, spare, &client->watches) {
        struct fake_watch *found = list_entry(link, struct fake_watch, link);
        if (found->tag == tag)
            watch_free(found);
    }
}

static int resume(struct umbel_client *client, uint64_t tag, const char *stream_id, uint64_t position)
{
    if (!client->app)
        return -EPERM;
    client->host->stats.resumes++;
    struct fake_job *job = fake_job_add(client, FAKE_RESUME, tag);
    job->session = fake_copy(stream_id);
    job->position = position;
    return 0;
}

static void abandon(struct umbel_client *client, uint64_t tag)
{
    list_for_each(link, spare, &client->host->jobs) {
        struct fake_job *job = list_entry(link, struct fake_job, link);
        if (job->client == client && job->tag == tag)
            job_free(job);
    }
}

static struct fake_stream *find_stream(struct umbel_client *client, const char *id)
{
    list_for_each(link, spare, &client->host->streams) {
        struct fake_stream *stream = list_entry(link, struct fake_stream, link);
        if (client->app && !strcmp(stream->id, id) && !strcmp(stream->app, client->app))
            return stream;
    }
    return NULL;
}

static void refuse(struct umbel_client *client, uint64_t tag, uint32_t error, const char *text)
{
    struct fake_job *job = fake_job_add(client, FAKE_REFUSED, tag);

    job->error = error;
    job->session = fake_copy(text);
}

static int stop(struct umbel_client *client, uint64_t tag, const char *stream_id)
{
    struct fake_stream *stream = find_stream(client, stream_id);

    client->host->stats.stops++;
    if (stream && !stream->closed)
        fake_stream_close(stream, UMBEL_VERDICT_CANCELLED);
    else if (!stream && tag)
        refuse(client, tag, UMBEL_ERROR_NOT_FOUND, "no such stream");
    return 0;
}

static void reader_ready(struct umbel_reader *reader)
{
    if (reader->gone) {
        fprintf(stderr, "fake_host: reader_ready for a reader that is gone\n");
        abort();
    }
    reader->ready = true;
}

static const struct umbel_stream *reader_stream(const struct umbel_reader *reader)
{
    return &reader->stream->info;
}

static uint64_t reader_position(const struct umbel_reader *reader)
{
    return reader->position;
}

/* --- what is done from the loop --- */

static void do_ask(struct fake_job *job)
{
    struct fake_host *host = job->client->host;
    struct umbel_client *client = job->client;
    struct fake_ask question = {.host = host,
                                .client = client,
                                .tag = job->tag,
                                .app = client->app,
                                .session = job->session,
                                .messages = job->messages,
                                .model = job->model,
                                .parameters = job->parameters,
                                .flags = job->flags};

    if (host->answer)
        host->answer(host->answer_arg, &question);
    if (host->answer && !question.stream)
        return; /* refused */
    struct fake_stream *stream = question.stream ? question.stream : fake_stream_quiet(host, client->app, job->session);
    if (host->watch_first)
        fake_stream_watchers(stream);
    if (!client->gone)
        fake_reader_begin(client, job->tag, stream, 0);
    if (!host->watch_first)
        fake_stream_watchers(stream);
}

static void do_watch(struct fake_job *job)
{
    struct fake_watch *found = fake_memory(sizeof *found);

    found->tag = job->tag;
    found->session = fake_copy(job->session);
    list_append(&job->client->watches, &found->link);
    list_for_each(link, spare, &job->client->host->streams) {
        struct fake_stream *stream = list_entry(link, struct fake_stream, link);
        if (!job->client->gone && !stream->closed && !strcmp(stream->app, job->client->app) &&
            (!*job->session || !strcmp(stream->session, job->session)))
            fake_reader_begin(job->client, job->tag, stream, 0);
    }
}

static void do_resume(struct fake_job *job)
{
    const struct umbel_codec *codec = job->client->codec;
    struct fake_stream *stream = find_stream(job->client, job->session);
    size_t next, offset;

    if (!stream)
        codec->refused(job->client->client_data, job->tag, UMBEL_ERROR_NOT_FOUND, "no such stream");
    else if (!fake_stream_place(stream, job->position, &next, &offset))
        codec->refused(job->client->client_data, job->tag, UMBEL_ERROR_POSITION, "no such position");
    else
        fake_reader_begin(job->client, job->tag, stream, job->position);
}

static void do_authorized(struct fake_job *job)
{
    job->client->app = job->app;
    job->client->codec->authorized(job->client->client_data, job->app ? 0 : UMBEL_ERROR_AUTH, job->app ? "" : "unknown key");
}

static bool run_jobs(struct fake_host *host)
{
    bool any = false;

    list_for_each(link, spare, &host->jobs) {
        struct fake_job *job = list_entry(link, struct fake_job, link);
        if (!job->client->gone && ((job->kind == FAKE_AUTHORIZED && host->hold_authorize) ||
                                   (job->kind == FAKE_RESUME && host->hold_resume)))
            continue;
        any = true;
        if (!job->client->gone)
            switch (job->kind) {
            case FAKE_AUTHORIZED:
                do_authorized(job);
                break;
            case FAKE_ASK:
                do_ask(job);
                break;
            case FAKE_WATCH:
                do_watch(job);
                break;
            case FAKE_RESUME:
                do_resume(job);
                break;
            case FAKE_REFUSED:
                job->client->codec->refused(job->client->client_data, job->tag, job->error, job->session);
                break;
            }
        spare = job->link.next; /* callbacks append jobs */
        job_free(job);
    }
    return any;
}

static void sweep(struct fake_host *host)
{
    fake_readers_sweep(host);
    if (!host->dead_clients)
        return;
    host->dead_clients = false;
    list_for_each(link, spare, &host->jobs)
        if (list_entry(link, struct fake_job, link)->client->gone)
            job_free(list_entry(link, struct fake_job, link));
    list_for_each(link, spare, &host->clients) {
        struct umbel_client *client = list_entry(link, struct umbel_client, link);
        if (client->gone) {
            list_remove(&client->link);
            free(client);
        }
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

void fake_host_turn(struct fake_host *host, int max_wait_ms)
{
    bool busy = run_jobs(host);

    busy = fake_streams_serve(host) || busy;
    sweep(host);
    int wait = busy ? 0 : max_wait_ms;
    for (size_t i = 0; i < FAKE_TURNS && host->turn[i]; i++) {
        int ms = host->turn[i](host->turn_arg[i]);
        if (ms >= 0 && ms < wait)
            wait = ms;
    }
    if (wait) {
        struct timeval tv = {wait / 1000, wait % 1000 * 1000};
        event_add(host->timer, &tv);
    }
    event_base_loop(host->table.base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK));
    event_del(host->timer);
    sweep(host);
}

/* --- set-up --- */

struct fake_host *fake_host_new(void)
{
    struct fake_host *host = fake_memory(sizeof *host);

    list_init(&host->clients);
    list_init(&host->streams);
    list_init(&host->jobs);
    list_init(&host->keys);
    list_init(&host->kept);
    list_init(&host->config.values);
    for (size_t i = 0; i < FAKE_LISTENERS; i++)
        host->listener[i] = -1;
    host->table = (struct umbel_host){.struct_size = sizeof host->table,
                                      .abi_major = UMBEL_ABI_MAJOR,
                                      .abi_minor = UMBEL_ABI_MINOR,
                                      .context = host,
                                      .base = event_base_new(),
                                      .transport = "fake",
                                      .client_open = client_open,
                                      .client_close = client_close,
                                      .authorize = authorize,
                                      .ask = ask,
                                      .watch = watch,
                                      .unwatch = unwatch,
                                      .resume = resume,
                                      .abandon = abandon,
                                      .stop = stop,
                                      .reader_ready = reader_ready,
                                      .reader_leave = leave,
                                      .reader_stream = reader_stream,
                                      .reader_position = reader_position};
    fake_services_fill(&host->table);
    fake_send_fill(&host->table);
    host->timer = evtimer_new(host->table.base, on_timer, NULL);
    return host;
}

void fake_host_free(struct fake_host *host)
{
    if (!host)
        return;
    fake_host_close(host);
    while (!list_is_empty(&host->jobs))
        job_free(list_entry(host->jobs.next, struct fake_job, link));
    sweep(host);
    while (!list_is_empty(&host->streams)) {
        struct fake_stream *stream = list_entry(host->streams.next, struct fake_stream, link);
        list_remove(&stream->link);
        fake_stream_free(stream);
    }
    while (!list_is_empty(&host->keys)) {
        struct fake_key *key = list_entry(host->keys.next, struct fake_key, link);
        list_remove(&key->link);
        free(key->value);
        free(key->app);
        free(key);
    }
    fake_kept_free_all(host);
    while (!list_is_empty(&host->config.values)) {
        struct fake_value *value = list_entry(host->config.values.next, struct fake_value, link);
        list_remove(&value->link);
        free(value->name);
        free(value->value);
        free(value);
    }
    for (size_t i = 0; i < FAKE_LISTENERS; i++)
        if (host->listener[i] >= 0)
            close(host->listener[i]);
    event_free(host->timer);
    event_base_free(host->table.base);
    umbel_out_free(&host->out);
    free(host);
}

const struct umbel_host *fake_host_table(struct fake_host *host)
{
    return &host->table;
}

const struct fake_host_stats *fake_host_stats(const struct fake_host *host)
{
    return &host->stats;
}

int fake_host_listen(struct fake_host *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd == -1 || bind(fd, (struct sockaddr *)&address, size) == -1 || listen(fd, 4096) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &size) == -1) {
        perror("fake_host: listen");
        abort();
    }
    for (size_t i = 0; i < FAKE_LISTENERS; i++)
        if (host->listener[i] == -1) {
            host->listener[i] = fd;
            return ntohs(address.sin_port);
        }
    abort();
}

void fake_host_option(struct fake_host *host, const char *name, const char *value)
{
    struct fake_value *item = fake_memory(sizeof *item);

    item->name = fake_copy(name);
    item->value = fake_copy(value);
    list_append(&host->config.values, &item->link);
}

void fake_host_key(struct fake_host *host, uint32_t kind, const char *value, const char *app)
{
    struct fake_key *key = fake_memory(sizeof *key);

    key->kind = kind;
    key->value = fake_copy(value);
    key->app = fake_copy(app);
    list_append(&host->keys, &key->link);
}

int fake_host_open(struct fake_host *host, const struct umbel_transport *transport)
{
    for (uint32_t i = 0; i < transport->option_count; i++) {
        const struct umbel_option *option = &transport->options[i];
        if (!fake_config_item(&host->config, option->name, 0) && option->otherwise)
            fake_host_option(host, option->name, option->otherwise);
    }
    host->transport = transport;
    int r = transport->open(&host->table, &host->config, &host->plugin);
    host->open = r == 0;
    return r;
}

void fake_host_drain(struct fake_host *host)
{
    host->transport->drain(host->plugin, 30000);
}

int fake_host_reload(struct fake_host *host)
{
    return host->transport->reload ? host->transport->reload(host->plugin) : 0;
}

void fake_host_close(struct fake_host *host)
{
    if (!host->open)
        return;
    host->open = false;
    host->transport->close(host->plugin);
    memset(host->turn, 0, sizeof host->turn);
}

void fake_host_on_ask(struct fake_host *host, void (*answer)(void *arg, struct fake_ask *ask), void *arg)
{
    host->answer = answer;
    host->answer_arg = arg;
}

void fake_ask_refuse(struct fake_ask *question, uint32_t error, const char *text)
{
    refuse(question->client, question->tag, error, text);
}

void fake_host_refuse_asks(struct fake_host *host, int r)
{
    host->refuse_asks = r;
}

void fake_host_refuse_clients(struct fake_host *host, bool refuse)
{
    host->refuse_clients = refuse;
}

void fake_host_hold_authorize(struct fake_host *host, bool hold)
{
    host->hold_authorize = hold;
}

void fake_host_hold_resume(struct fake_host *host, bool hold)
{
    host->hold_resume = hold;
}

void fake_host_watch_first(struct fake_host *host, bool first)
{
    host->watch_first = first;
}

void fake_host_admit(struct fake_host *host, bool admit)
{
    host->turn_away = !admit;
}

uint64_t fake_host_counter(const struct fake_host *host, const char *name)
{
    for (size_t i = 0; i < FAKE_COUNTERS; i++)
        if (!strcmp(host->counter[i].name, name))
            return host->counter[i].value;
    return 0;
}
