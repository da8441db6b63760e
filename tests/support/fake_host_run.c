/* support/fake_host_run.c - umbel-fake-host-run PLUGIN.so [--port N] [--pace MS] [--key KEY] [--id PUBLIC_ID] [option=value ...]
 *
 * Serves a plugin with answers that echo the question, so that published client libraries can be tried against it.  The last message's
 * content says what comes: its text is sent back in pieces of two characters; "!fail" after text ends it FAILED, "!cut" TRUNCATED, "!quota"
 * refuses, "!empty" gives an answer without text, "!long" never ends by itself.  Prints "port N" when it serves; SIGTERM drains. */
#include <dlfcn.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/json.h>

#include "tools/plugin-check/fake_host.h"

#define SCRIPTS 256

struct script {
    struct fake_stream *stream;
    char *text;
    size_t at;
};

static struct script scripts[SCRIPTS];
static int pace_ms = 20;
static volatile sig_atomic_t leaving;

static void on_signal(int number)
{
    (void)number;
    leaving = 1;
}

static size_t piece(const char *text)
{
    size_t size = 0;

    for (int characters = 0; characters < 2 && text[size]; characters++)
        do
            size++;
        while ((text[size] & 0xc0) == 0x80);
    return size;
}

static bool ends(const char *text, const char *word)
{
    return !strcmp(text, word);
}

static void step(struct script *script)
{
    const char *rest = script->text + script->at;
    char bytes[16];
    uint32_t verdict = UMBEL_VERDICT_COMPLETE;

    if (fake_stream_is_closed(script->stream)) {
        free(script->text);
        *script = (struct script){0};
        return;
    }
    if (ends(rest, "!long")) {
        fake_stream_text(script->stream, ".");
        return;
    }
    if (*rest && *rest != '!') {
        size_t size = piece(rest);
        memcpy(bytes, rest, size);
        bytes[size] = 0;
        fake_stream_text(script->stream, bytes);
        script->at += size;
        return;
    }
    if (ends(rest, "!fail"))
        verdict = UMBEL_VERDICT_FAILED;
    else if (ends(rest, "!cut"))
        verdict = UMBEL_VERDICT_TRUNCATED;
    else
        fake_stream_event(script->stream, UMBEL_EVENT_FINISH, "stop", UMBEL_FINISH_STOP);
    fake_stream_close(script->stream, verdict);
}

static char *question_of(const char *messages)
{
    struct umbel_json *array = umbel_json_parse(messages, strlen(messages), NULL, 0);
    const char *text = "";

    for (const struct umbel_json *message = umbel_json_first(array); message; message = umbel_json_next(message))
        text = umbel_json_member_text(message, "content", "");
    char *copy = strdup(text);
    umbel_json_free(array);
    return copy;
}

static void answer(void *arg, struct fake_ask *ask)
{
    char *text = question_of(ask->messages);

    (void)arg;
    for (size_t i = 0; text && i < SCRIPTS; i++)
        if (!scripts[i].stream && !ends(text, "!quota")) {
            ask->stream = fake_stream_quiet(ask->host, ask->app, ask->session);
            scripts[i] = (struct script){.stream = ask->stream, .text = text};
            return;
        }
    fake_ask_refuse(ask, UMBEL_ERROR_QUOTA, "");
    free(text);
}

static void on_pace(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
    for (size_t i = 0; i < SCRIPTS; i++)
        if (scripts[i].stream)
            step(&scripts[i]);
}

static const struct umbel_transport *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct umbel_transport *transport = library ? dlsym(library, UMBEL_TRANSPORT_SYMBOL) : NULL;

    if (!transport)
        fprintf(stderr, "umbel-fake-host-run: %s\n", dlerror());
    return transport;
}

int main(int argc, char **argv)
{
    struct fake_host *host = fake_host_new();
    const struct umbel_transport *transport = argc > 1 ? load(argv[1]) : NULL;
    int port = 0;

    if (!transport) {
        fprintf(stderr, "usage: umbel-fake-host-run PLUGIN.so [--port N] [--pace MS] [--key KEY] [--id ID] [option=value ...]\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *equal = strchr(argv[i], '=');
        if (!strncmp(argv[i], "--", 2) && i + 1 < argc) {
            const char *value = argv[++i];
            if (!strcmp(argv[i - 1], "--port"))
                port = atoi(value);
            else if (!strcmp(argv[i - 1], "--pace"))
                pace_ms = atoi(value);
            else
                fake_host_key(host, !strcmp(argv[i - 1], "--id") ? UMBEL_CREDENTIAL_PUBLIC_ID : UMBEL_CREDENTIAL_KEY, value, "app");
        } else if (equal) {
            *equal = 0;
            fake_host_option(host, argv[i], equal + 1);
        }
    }
    port = fake_host_listen(host, port);
    fake_host_on_ask(host, answer, NULL);
    if (fake_host_open(host, transport) < 0)
        return 1;
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    struct timeval tv = {pace_ms / 1000, pace_ms % 1000 * 1000};
    struct event *timer = event_new(fake_host_table(host)->base, -1, EV_PERSIST, on_pace, NULL);
    event_add(timer, &tv);
    printf("port %d\n", port);
    fflush(stdout);
    while (!leaving)
        fake_host_turn(host, 200);
    fake_host_drain(host);
    while (!fake_host_stats(host)->drained)
        fake_host_turn(host, 200);
    event_free(timer);
    fake_host_free(host);
    for (size_t i = 0; i < SCRIPTS; i++)
        free(scripts[i].text);
    return 0;
}
