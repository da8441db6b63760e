/* The canary: a model service that knows one answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>

#include "core/base/clock.h"
#include "tools/show/selftest.h"

#define PIECE_BYTES 24u
#define PIECE_MS 2u
#define REQUEST_MAX 65536

/* What goes wrong on the way goes wrong here: characters of one to four bytes, quotes, line ends, words that protocols use. */
const char selftest_text[] =
    "A canary sings so that you need not: umbel carries this text through every door of the house. "
    "Grüße, žluťoučký kůň, 天空为什么是蓝色的？ Солнце светит. 🌱🌿🌳 e\xcc\x81 \"quoted\" and back\\slashed, "
    "a tab\tand line ends\nand\r\nmore; data: [DONE] is only text, so is success: {\"content\":\"no\"} and 0\r\n\r\n here; "
    "event: error\ndata: nothing. <b>&amp;</b> %25 \xe2\x80\xa8 \xc2\xa0 { } [ ] 1234567890. The end of the song.";

struct selftest_canary {
    struct selftest *test;
    struct evhttp *http;
    struct song *songs;
};

/* One answer on its way. */
struct song {
    struct song *next;
    struct selftest_canary *canary;
    struct evhttp_request *request;
    struct event *timer;
    struct selftest_trial *trial; /* NULL: whose is not known */
    size_t at;
};

static void song_end(struct song *song)
{
    struct song **link = &song->canary->songs;

    while (*link != song)
        link = &(*link)->next;
    *link = song->next;
    event_free(song->timer);
    free(song);
}

static void on_close(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    song_end(arg);
}

static void send_chunk(struct song *song, struct umbel_out *out)
{
    struct evbuffer *buffer = evbuffer_new();

    if (buffer && !out->failed) {
        evbuffer_add(buffer, out->data, out->size);
        evhttp_send_reply_chunk(song->request, buffer);
    }
    if (buffer)
        evbuffer_free(buffer);
    umbel_out_free(out);
}

static void finish_song(struct song *song)
{
    struct umbel_out out = {0};

    umbel_out_text(&out, "data: {\"id\":\"canary\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":"
                         "\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n");
    send_chunk(song, &out);
    evhttp_connection_set_closecb(evhttp_request_get_connection(song->request), NULL, NULL);
    evhttp_send_reply_end(song->request);
    song_end(song);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval pause = {.tv_usec = PIECE_MS * 1000};
    struct song *song = arg;
    size_t left = sizeof selftest_text - 1 - song->at, size = left < PIECE_BYTES ? left : PIECE_BYTES;
    struct umbel_out out = {0};

    (void)fd, (void)what;
    if (left == 0) {
        finish_song(song);
        return;
    }
    while (size < left && ((unsigned char)selftest_text[song->at + size] & 0xc0) == 0x80)
        size++; /* services cut at characters */
    umbel_out_text(&out, "data: {\"id\":\"canary\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":");
    umbel_out_json(&out, selftest_text + song->at, size);
    umbel_out_text(&out, "},\"finish_reason\":null}]}\n\n");
    song->at += size;
    if (song->trial)
        song->trial->sent_ns = clock_now_ns();
    send_chunk(song, &out);
    event_add(song->timer, &pause);
}

/* Whose question is it?  Trials are numbered in their questions. */
static struct selftest_trial *find_trial(struct selftest *test, struct evhttp_request *request)
{
    char body[REQUEST_MAX];
    ev_ssize_t size = evbuffer_copyout(evhttp_request_get_input_buffer(request), body, sizeof body - 1);

    body[size > 0 ? size : 0] = '\0';
    for (size_t i = 0; i < test->count; i++)
        if (test->trials[i].question[0] && strstr(body, test->trials[i].question))
            return &test->trials[i];
    return NULL;
}

static void on_request(struct evhttp_request *request, void *arg)
{
    struct selftest_canary *canary = arg;
    struct song *song = calloc(1, sizeof *song);

    if (song)
        song->timer = evtimer_new(canary->test->base, on_timer, song);
    if (!song || !song->timer) {
        free(song);
        evhttp_send_error(request, 503, "no memory");
        return;
    }
    song->canary = canary;
    song->request = request;
    song->trial = find_trial(canary->test, request);
    song->next = canary->songs;
    canary->songs = song;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_close, song);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "text/event-stream");
    evhttp_send_reply_start(request, 200, "OK");
    event_active(song->timer, EV_TIMEOUT, 0);
}

struct selftest_canary *canary_open(struct selftest *test, unsigned *ret_port)
{
    struct selftest_canary *canary = calloc(1, sizeof *canary);
    struct evhttp_bound_socket *bound;
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    if (!canary)
        return NULL;
    canary->test = test;
    canary->http = evhttp_new(test->base);
    bound = canary->http ? evhttp_bind_socket_with_handle(canary->http, "127.0.0.1", 0) : NULL;
    if (!bound || getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &size) == -1) {
        canary_close(canary);
        return NULL;
    }
    evhttp_set_allowed_methods(canary->http, EVHTTP_REQ_POST);
    evhttp_set_max_body_size(canary->http, REQUEST_MAX);
    evhttp_set_gencb(canary->http, on_request, canary);
    *ret_port = ntohs(address.sin_port);
    return canary;
}

void canary_close(struct selftest_canary *canary)
{
    if (!canary)
        return;
    while (canary->songs)
        song_end(canary->songs); /* evhttp_free closes their connections */
    if (canary->http)
        evhttp_free(canary->http);
    free(canary);
}
