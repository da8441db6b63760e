/* umbel-show: one question, asked over the first protocol and watched over all others, side by side in the terminal.
 * Exit 0 only if every protocol got the whole answer and the same text; 1 if not; 2 usage. */
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/json/json_utf8.h"
#include "tools/show/show_screen.h"

#define CLIENTS_MAX 16u
#define READY_S 3u   /* so long the question waits for watchers that do not say they are there */
#define SETTLE_S 10u /* so long the others may take after the asking protocol has its end */
#define DRAW_MS 40u

struct show {
    struct event_base *base;
    struct event *ready_timer, *settle_timer, *deadline_timer, *draw_timer, *resize_signal, *stop_signal[2];
    struct show_screen screen;
    struct show_ask ask;
    struct show_client client[CLIENTS_MAX];
    size_t count;
    uint64_t timeout_s;
    bool asked, dirty, stopped;
};

static void add_timer(struct event *timer, uint64_t ms)
{
    struct timeval wait = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};

    event_add(timer, &wait);
}

/* ---- the course of a show: all watchers, then the question, then until everybody is settled ---- */

static void ask_now(struct show *show)
{
    if (show->asked)
        return;
    show->asked = true;
    event_del(show->ready_timer);
    show_client_start(&show->client[0], show->base, &show->ask);
}

static void look(struct show *show)
{
    bool ready = true, settled = true;

    for (size_t i = 1; i < show->count; i++)
        ready = ready && show->client[i].ready;
    if (ready)
        ask_now(show); /* and this may fail at once */
    for (size_t i = 1; i < show->count; i++)
        show_client_compare(&show->client[i], &show->client[0].decoder.answer);
    for (size_t i = 0; i < show->count; i++)
        settled = settled && show_client_settled(&show->client[i]);
    show->dirty = true;
    if (settled)
        event_base_loopbreak(show->base);
    else if (show_client_settled(&show->client[0]) && !event_pending(show->settle_timer, EV_TIMEOUT, NULL))
        add_timer(show->settle_timer, SETTLE_S * 1000);
}

static void on_changed(void *owner, struct show_client *client)
{
    (void)client;
    look(owner);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    ask_now(arg);
    look(arg); /* the asking client may have failed at once */
}

static void give_up(struct show *show, const char *why, uint64_t seconds)
{
    for (size_t i = 0; i < show->count; i++) {
        struct show_client *client = &show->client[i];
        if (show_client_settled(client))
            continue;
        if (!client->ready)
            show_answer_break(&client->decoder.answer, "not even connected %s %u s", why, (unsigned)seconds);
        else
            show_answer_break(&client->decoder.answer, "no end of the answer %s %u s", why, (unsigned)seconds);
    }
    event_base_loopbreak(show->base);
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    give_up(arg, "though the asking protocol ended before", SETTLE_S);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct show *show = arg;

    (void)fd, (void)what;
    give_up(show, "within", show->timeout_s);
}

static void on_draw(evutil_socket_t fd, short what, void *arg)
{
    struct show *show = arg;

    (void)fd, (void)what;
    if (show->dirty)
        show_screen_draw(&show->screen, show->client, show->count);
    show->dirty = false;
}

static void on_resize(evutil_socket_t fd, short what, void *arg)
{
    struct show *show = arg;

    (void)fd, (void)what;
    show_screen_resize(&show->screen, show->count);
    show->dirty = true;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
    struct show *show = arg;

    (void)fd, (void)what;
    show->stopped = true;
    event_base_loopbreak(show->base);
}

/* ---- arguments ---- */

static void usage(FILE *to)
{
    fprintf(to, "usage: umbel-show [--question TEXT] [--key KEY] [--session NAME] [--model NAME] [--timeout SECONDS] PROTOCOL=HOST:PORT...\n"
                "\n"
                "Asks one question over the first protocol and watches the answer over the others; all meet in one session.\n"
                "im only watches; its HOST:PORT is the one of the /mock commands of umbel-mock-tim.\n"
                "PROTOCOL:");
    for (size_t i = 0; show_protocol_name(i); i++)
        fprintf(to, " %s (%s)", show_protocol_name(i), show_protocol_find(show_protocol_name(i), strlen(show_protocol_name(i)))->title);
    fprintf(to, "\n\n"
                "  --question TEXT    what is asked (default: Why is the sky blue?)\n"
                "  --key KEY          the app's client key\n"
                "  --session NAME     default: one of its own, so that no older turns are in the way\n"
                "  --model NAME       for protocols that must name one (default: demo-1)\n"
                "  --timeout SECONDS  for all of it (default: 60)\n"
                "\n"
                "Exit 0: every protocol got the whole answer and the same text; 1: not so; 2: wrong usage.\n");
}

static bool plain_text(const char *text, size_t most)
{
    size_t size = strlen(text);

    for (size_t i = 0; i < size;) {
        int step = utf8_step((const unsigned char *)text + i, size - i);
        if (step <= 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
        i += (size_t)step;
    }
    return size > 0 && size <= most;
}

static int add_client(struct show *show, const char *text)
{
    const char *equals = strchr(text, '=');
    const struct show_protocol *protocol = equals ? show_protocol_find(text, (size_t)(equals - text)) : NULL;

    if (!protocol || !equals[1]) {
        fprintf(stderr, "umbel-show: %s: expected PROTOCOL=HOST:PORT\n", text);
        return -1;
    }
    if (show->count == 0 && protocol->reply) {
        fprintf(stderr, "umbel-show: %s only watches: name another protocol first, which asks\n", protocol->name);
        return -1;
    }
    if (show->count == CLIENTS_MAX) {
        fprintf(stderr, "umbel-show: at most %u protocols\n", CLIENTS_MAX);
        return -1;
    }
    show->client[show->count] = (struct show_client){
        .protocol = protocol, .host = equals + 1, .asks = show->count == 0, .changed = on_changed, .owner = show};
    show->count++;
    return 0;
}

static int read_options(struct show *show, int argc, char **argv)
{
    static const struct option options[] = {
        {"question", required_argument, NULL, 'q'}, {"key", required_argument, NULL, 'k'},     {"session", required_argument, NULL, 's'},
        {"model", required_argument, NULL, 'm'},    {"timeout", required_argument, NULL, 't'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    static char session[48];
    int option;

    snprintf(session, sizeof session, "show-%llx-%x", (unsigned long long)clock_wall_ms(), (unsigned)getpid());
    show->ask = (struct show_ask){.question = "Why is the sky blue?", .key = "", .session = session, .model = "demo-1"};
    show->timeout_s = 60;
    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            usage(stdout);
            exit(0);
        }
        if (option == 't' && number_parse_u64(optarg, strlen(optarg), &show->timeout_s) && show->timeout_s >= 1 && show->timeout_s <= 86400)
            continue;
        if (option == '?' || option == 't' || !plain_text(optarg, option == 'q' ? 65536 : 120)) {
            if (option != '?')
                fprintf(stderr, "umbel-show: an option has no good value: %s\n", optarg);
            return -1;
        }
        *(option == 'q' ? &show->ask.question : option == 'k' ? &show->ask.key : option == 's' ? &show->ask.session : &show->ask.model) =
            optarg;
    }
    for (int i = optind; i < argc; i++)
        if (add_client(show, argv[i]) < 0)
            return -1;
    return show->count > 0 ? 0 : -1;
}

/* ---- main ---- */

static int set_up(struct show *show)
{
    show->base = event_base_new();
    if (!show->base)
        return -1;
    show->ready_timer = evtimer_new(show->base, on_ready, show);
    show->settle_timer = evtimer_new(show->base, on_settle, show);
    show->deadline_timer = evtimer_new(show->base, on_deadline, show);
    show->draw_timer = event_new(show->base, -1, EV_PERSIST, on_draw, show);
    show->resize_signal = evsignal_new(show->base, SIGWINCH, on_resize, show);
    show->stop_signal[0] = evsignal_new(show->base, SIGINT, on_stop, show);
    show->stop_signal[1] = evsignal_new(show->base, SIGTERM, on_stop, show);
    if (!show->ready_timer || !show->settle_timer || !show->deadline_timer || !show->draw_timer || !show->resize_signal ||
        !show->stop_signal[0] || !show->stop_signal[1])
        return -1;
    add_timer(show->deadline_timer, show->timeout_s * 1000);
    add_timer(show->ready_timer, READY_S * 1000);
    if (show->screen.live)
        add_timer(show->draw_timer, DRAW_MS);
    event_add(show->resize_signal, NULL);
    event_add(show->stop_signal[0], NULL);
    event_add(show->stop_signal[1], NULL);
    return 0;
}

static void take_down(struct show *show)
{
    struct event *events[] = {show->ready_timer,   show->settle_timer,   show->deadline_timer, show->draw_timer,
                              show->resize_signal, show->stop_signal[0], show->stop_signal[1]};

    for (size_t i = 0; i < show->count; i++)
        show_client_end(&show->client[i]);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (events[i])
            event_free(events[i]);
    if (show->base)
        event_base_free(show->base);
    show_screen_close(&show->screen);
}

int main(int argc, char **argv)
{
    static struct show show;
    size_t good = 0;

    if (read_options(&show, argc, argv) < 0) {
        usage(stderr);
        return 2;
    }
    setlocale(LC_CTYPE, "C.UTF-8");
    signal(SIGPIPE, SIG_IGN);
    printf("question: %s\n\n", show.ask.question);
    fflush(stdout);
    show_screen_open(&show.screen, STDOUT_FILENO, show.count);
    if (set_up(&show) < 0) {
        fprintf(stderr, "umbel-show: no memory\n");
        take_down(&show);
        return 1;
    }
    for (size_t i = 1; i < show.count; i++)
        show_client_start(&show.client[i], show.base, &show.ask);
    look(&show);
    show.dirty = true;
    event_base_dispatch(show.base);
    if (!show.stopped) {
        show_screen_draw(&show.screen, show.client, show.count);
        show_screen_plain(&show.screen, show.client, show.count);
        good = show_screen_table(&show.screen, show.client, show.count);
    }
    size_t count = show.count;
    bool stopped = show.stopped;
    take_down(&show);
    if (stopped) {
        printf("\nstopped before the end\n");
        return 1;
    }
    printf("\n%zu of %zu protocols got the whole answer\n", good, count);
    return good == count ? 0 : 1;
}
