/* plugin-check/check_rig.c - the stage of a check. */
#include "tools/plugin-check/check_rig.h"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tools/plugin-check/check_child.h"

static volatile sig_atomic_t is_deaf; /* rig.deaf, for on_stuck */

static void say(const char *format, va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof text, format, args);
    size_t size = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

    if (write(CHECK_SAY_FD, text, size) < 0)
        _exit(CHECK_BROKEN);
}

void rig_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    _exit(CHECK_FAILED);
}

void rig_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
    _exit(CHECK_SKIPPED);
}

void rig_note(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say(format, args);
    va_end(args);
}

uint64_t rig_now_s(void)
{
    return clock_now_ns() / CLOCK_S;
}

bool rig_has_sanitizer(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") != NULL;
}

size_t rig_heap(void)
{
    struct mallinfo2 info;

    if (rig_has_sanitizer())
        return 0;
    info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

unsigned rig_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    while (dir && readdir(dir))
        count++;
    if (dir)
        closedir(dir);
    return count;
}

static void on_ask(void *arg, struct fake_ask *ask)
{
    struct rig *rig = arg;

    rig->asked++;
    if (rig->refuse)
        fake_ask_refuse(ask, rig->refuse, "told so");
    else
        rig->stream = ask->stream = fake_stream_quiet(ask->host, ask->app, ask->session);
}

static void set_option(struct fake_host *host, const char *name, const struct umbel_json *value)
{
    char number[32];
    const char *text = umbel_json_text(value, NULL);

    switch (umbel_json_type(value)) {
    case UMBEL_JSON_ARRAY:
        for (const struct umbel_json *each = umbel_json_first(value); each; each = umbel_json_next(each))
            set_option(host, name, each);
        return;
    case UMBEL_JSON_BOOL:
        text = umbel_json_bool(value, 0) ? "true" : "false";
        break;
    case UMBEL_JSON_NUMBER:
        snprintf(number, sizeof number, "%lld", (long long)umbel_json_integer(value, 0));
        text = number;
        break;
    default:
        break;
    }
    fake_host_option(host, name, text ? text : "");
}

uint64_t rig_patience_s(void)
{
    const char *given = getenv("UMBEL_PLUGIN_CHECK_PATIENCE_S");

    return given ? strtoull(given, NULL, 10) : rig_has_sanitizer() ? 60 : 20;
}

void rig_open(struct rig *rig)
{
    const struct umbel_json *options = rig->plan ? rig->plan->options : NULL;

    rig->patience_s = rig_patience_s();
    rig->host = fake_host_new();
    rig->port = fake_host_listen(rig->host, 0);
    rig->stream = NULL;
    rig->asked = 0;
    fake_host_on_ask(rig->host, on_ask, rig);
    fake_host_key(rig->host, UMBEL_CREDENTIAL_KEY, PLAN_KEY, "app");
    fake_host_key(rig->host, UMBEL_CREDENTIAL_APP, "app", "app");
    fake_host_option(rig->host, "max_connections", "10000");
    fake_host_option(rig->host, "slow_client_s", "600");
    fake_host_option(rig->host, "drain_ms", "30000");
    for (const struct umbel_json *each = umbel_json_first(options); each; each = umbel_json_next(each))
        set_option(rig->host, umbel_json_name(each), each);
    int r = fake_host_open(rig->host, rig->transport);
    if (r < 0 && !rig->plan)
        rig_skip("open() returned %d (%s): it needs options, and no .check file gives any", r, strerror(-r));
    if (r < 0)
        rig_fail("open() returned %d (%s); expected 0 with a listening socket and the options of the .check file", r, strerror(-r));
}

void rig_close(struct rig *rig)
{
    for (size_t i = 0; i < RIG_CLIENTS_MAX; i++)
        if (rig->clients[i])
            rig_leave(rig, rig->clients[i], false);
    fake_host_free(rig->host);
    rig->host = NULL;
}

/* Of a turn that does not end: the plugin has the process, and no other client is served.  Only what is safe in a signal handler. */
static void on_stuck(int signal)
{
    static const char words[] = "the plugin has not returned to the loop: it waits within a callback (for a socket, a lock, a file); nothing may block";
    static const char slow[] = ", and in the meantime a client did not read: answer UMBEL_WRITE_FULL instead of waiting for it";

    (void)signal;
    if (write(CHECK_SAY_FD, words, sizeof words - 1) < 0 || (is_deaf && write(CHECK_SAY_FD, slow, sizeof slow - 1) < 0))
        _exit(CHECK_BROKEN);
    _exit(CHECK_FAILED);
}

void rig_turn(struct rig *rig, int wait_ms)
{
    bool moved = false;

    is_deaf = rig->deaf;
    signal(SIGALRM, on_stuck);
    alarm((unsigned)rig->patience_s + 1);

    for (size_t i = 0; i < RIG_CLIENTS_MAX; i++)
        if (rig->clients[i])
            moved = wire_pump(rig->clients[i], rig->deaf) || moved;
    fake_host_turn(rig->host, moved ? 0 : wait_ms);
    alarm(0);
}

void rig_client(struct rig *rig, struct wire *wire, const char *key, int receive_buffer)
{
    size_t i = 0;

    while (i < RIG_CLIENTS_MAX - 1 && rig->clients[i])
        i++;
    rig->clients[i] = wire;
    wire_open(wire, rig->plan, rig->port, receive_buffer);
    if (!key)
        return;
    wire_hello(wire, key);
    RIG_UNTIL(rig, (wire->opened && wire->ready) || wire->ended || wire->errors || strcmp(key, PLAN_KEY) != 0,
              "a client was not let in: %s", wire->last.size ? wire->last.data : "nothing came");
    if (strcmp(key, PLAN_KEY) == 0 && !(wire->opened && wire->ready))
        rig_fail("a client with a good key was not let in; the last that came: %s (HTTP status %ld)",
                 wire->last.size ? wire->last.data : "nothing", wire->status);
}

void rig_leave(struct rig *rig, struct wire *wire, bool reset)
{
    for (size_t i = 0; i < RIG_CLIENTS_MAX; i++)
        if (rig->clients[i] == wire)
            rig->clients[i] = NULL;
    if (reset)
        wire_reset(wire);
    else
        wire_free(wire);
}

static const char *last_of(const struct wire *wire)
{
    return wire->last.size ? wire->last.data : "nothing";
}

void rig_ask(struct rig *rig, struct wire *wire)
{
    unsigned before = rig->asked;

    wire_ask(wire, PLAN_KEY, "how are you");
    RIG_UNTIL(rig, rig->asked > before, "the plugin did not ask() what its client asked; the last that the client got: %s", last_of(wire));
}

void rig_end_of(struct rig *rig, struct wire *wire, unsigned terminals)
{
    bool http = rig->plan->carrier == PLAN_HTTP;

    RIG_UNTIL(rig, http ? wire->ended : wire->terminals > terminals || wire->errors || wire->ended,
              "the answer has ended, and its client is told neither \"terminal\" nor \"error\"; the last that it got: %s", last_of(wire));
}

void rig_talk(struct rig *rig, const char *when)
{
    struct wire wire;

    rig_client(rig, &wire, PLAN_KEY, 0);
    rig_ask(rig, &wire);
    if (!rig->stream)
        rig_fail("%s: no answer", when);
    fake_stream_text(rig->stream, "fine");
    fake_stream_event(rig->stream, UMBEL_EVENT_FINISH, "stop", UMBEL_FINISH_STOP);
    fake_stream_close(rig->stream, UMBEL_VERDICT_COMPLETE);
    rig_end_of(rig, &wire, 0);
    if (wire.terminals != 1 || wire.text.size != 4 || memcmp(wire.text.data, "fine", 4) != 0)
        rig_fail("%s: an ordinary answer \"fine\" came as \"%.*s\" with %u ends; the last unit: %s", when, (int)wire.text.size,
                 wire.text.data ? wire.text.data : "", wire.terminals, last_of(&wire));
    rig_leave(rig, &wire, false);
}
