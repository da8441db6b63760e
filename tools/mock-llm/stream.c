#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "chat_request.h"
#include "conn.h"
#include "cutter.h"
#include "framer.h"
#include "record.h"
#include "server.h"
#include "voice.h"

#define WRITES_PER_TURN 64u /* writes before the other connections get their turn */
#define BATCH_MAX 16384u    /* bytes of one coalesced write */
#define RESET_POLL_US 1000u
#define RESET_WAIT_US 500000u /* the longest wait for the client to have everything before the reset */
#define ENDLESS_PIECE 1024u   /* bytes of endless headers per millisecond */

enum stage {
    HEAD,   /* the head is due at next_at */
    BODY,   /* events are due */
    LAST,   /* all is produced; when it is written, commit the outcome */
    DRAIN,  /* a reset waits until the client's kernel has what was sent before */
    SILENT, /* stalled for good */
    ENDLESS /* header lines without end */
};

struct stream {
    struct pacer_node node;
    struct conn *conn;
    struct record *record;
    struct answer answer;
    struct framer framer;
    struct cutter cutter;
    struct bytes wire;            /* framed bytes not yet written: only used when events are cut */
    size_t wire_at;               /* how many of them are written */
    uint64_t next_at, give_up_at; /* pacer times */
    enum stage stage;
    enum answer_verdict outcome;
    bool whole, chunked; /* not streamed; body in chunks */
};

static void fire(struct pacer_node *node);
static void run(struct stream *stream);

/* The fault that the model name asks for, for the record; faults that end the answer name themselves at the end. */
static const char *fault_name(const struct model_spec *spec)
{
    const struct {
        bool on;
        const char *name;
    } faults[] = {{spec->headers == HEADERS_ENDLESS, "headers"},
                  {spec->stall != MODEL_UNSET, "stall"},
                  {spec->reset != MODEL_UNSET, "reset"},
                  {spec->close != MODEL_UNSET, "close"},
                  {spec->endchunk != MODEL_UNSET, "endchunk"},
                  {spec->errorat != MODEL_UNSET, "errorat"},
                  {spec->malformed != MODEL_UNSET, "malformed"},
                  {spec->longline != MODEL_UNSET, "longline"},
                  {spec->gzip != 0, "gzip"},
                  {spec->slowhead_us != 0, "slowhead"}};

    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        if (faults[i].on)
            return faults[i].name;
    return NULL;
}

bool stream_open(struct conn *conn, struct record *record, const struct chat_request *request, const struct model_spec *spec)
{
    struct server *server = conn->server;
    struct stream *stream = bytes_alloc(sizeof *stream);
    const uint64_t id[2] = {prng_next(&server->ids), prng_next(&server->ids)};

    answer_open(&stream->answer, spec, request, (uint64_t)time(NULL), id);
    stream->conn = conn;
    stream->record = record;
    stream->node.fire = fire;
    stream->whole = !request->stream;
    stream->chunked = spec->http == HTTP_CHUNKED && !conn->minor0;
    stream->next_at = pacer_now_us() + spec->slowhead_us;
    framer_open(&stream->framer, spec, stream->chunked && !stream->whole);
    cutter_open(&stream->cutter, spec);
    record->fault = fault_name(spec);
    if (stream->whole) { /* a whole answer comes when a stream would have ended */
        struct text_source measure = stream->answer.text;
        uint64_t tokens;
        server->scratch.len = 0;
        if (!text_all(&measure, &server->scratch, HTTP_BODY_MAX, &tokens)) {
            record->fault = NULL;
            stream->record = NULL;
            stream_free(stream, NULL);
            return false;
        }
        stream->next_at += spec->first_us + spec->pace_us * (tokens + spec->reasoning);
    }
    conn->stream = stream;
    run(stream); /* the head leaves at once; whoever read the request settles the connection */
    return true;
}

/* Keeps the record current: a test may ask while the answer runs. */
static void note(struct stream *stream)
{
    stream->record->tokens = stream->answer.tokens;
    stream->record->bytes = stream->conn->sent;
}

void stream_free(struct stream *stream, const char *end)
{
    if (stream->conn->stream == stream)
        stream->conn->stream = NULL;
    pacer_cancel(&stream->conn->server->pacer, &stream->node);
    if (stream->record) {
        note(stream);
        record_end(&stream->conn->server->log, stream->record, end);
        record_drop(stream->record);
    }
    answer_close(&stream->answer);
    framer_close(&stream->framer);
    bytes_free(&stream->wire);
    free(stream);
}

/* Sends framed bytes now, or queues them to be cut. */
static void emit(struct stream *stream, const struct bytes *wire)
{
    if (cutter_whole(&stream->cutter)) {
        conn_send(stream->conn, wire->data, wire->len);
        return;
    }
    bytes_drop(&stream->wire, stream->wire_at);
    stream->wire_at = 0;
    bytes_put(&stream->wire, wire->data, wire->len);
}

/* Writes the next piece of the queue; false if there is none to write now. */
static bool piece_send(struct stream *stream)
{
    size_t left = stream->wire.len - stream->wire_at, size;
    bool flush = stream->stage != BODY;

    if (!left)
        return false;
    size = cutter_next(&stream->cutter, stream->wire.data + stream->wire_at, left, flush);
    if (!size)
        return false;
    conn_send(stream->conn, stream->wire.data + stream->wire_at, size);
    stream->wire_at += size;
    return true;
}

/* The whole answer with its head, and what of it a fault leaves. */
static void whole_make(struct stream *stream, struct bytes *out)
{
    struct server *server = stream->conn->server;
    const struct model_spec *spec = &stream->answer.spec;
    struct bytes *body = &server->body;
    size_t head;

    body->len = 0;
    answer_whole(&stream->answer, body, &server->scratch);
    if (spec->malformed != MODEL_UNSET)
        body->len--;
    if (spec->gzip) {
        server->scratch.len = 0;
        framer_put(&stream->framer, body->data, body->len, &server->scratch);
        framer_end(&stream->framer, &server->scratch);
        body->len = 0;
        bytes_put(body, server->scratch.data, server->scratch.len);
    }
    bytes_puts(out, "HTTP/1.1 200 OK\r\nServer: umbel-mock-llm\r\nContent-Type: application/json\r\n");
    bytes_puts(out, spec->gzip ? "Content-Encoding: gzip\r\n" : "");
    if (spec->http == HTTP_CHUNKED)
        bytes_printf(out, "Content-Length: %zu\r\n", body->len);
    if (spec->http == HTTP_CLOSE || !stream->conn->keep_alive)
        bytes_puts(out, "Connection: close\r\n");
    bytes_puts(out, "\r\n");
    head = out->len;
    bytes_put(out, body->data, body->len);
    stream->stage = LAST;
    stream->outcome = ANSWER_COMPLETE;
    if (spec->stall != MODEL_UNSET)
        stream->stage = SILENT;
    else if (spec->reset != MODEL_UNSET)
        stream->outcome = ANSWER_RESET;
    else if (spec->close != MODEL_UNSET)
        stream->outcome = ANSWER_CLOSE;
    else
        return;
    out->len = spec->stall == MODEL_STALL_FIRST ? head : head + body->len / 2;
}

static void head_make(const struct stream *stream, struct bytes *out)
{
    bytes_printf(out, "HTTP/1.1 200 OK\r\nServer: umbel-mock-llm\r\nContent-Type: %s\r\nCache-Control: no-cache\r\n",
                 stream->answer.array ? "application/json; charset=UTF-8" : stream->answer.voice->type);
    bytes_printf(out, "X-Request-Id: req_%016llx\r\n", (unsigned long long)stream->answer.id[0]);
    bytes_puts(out, stream->answer.spec.gzip ? "Content-Encoding: gzip\r\n" : "");
    if (stream->chunked)
        bytes_puts(out, "Transfer-Encoding: chunked\r\n");
    if (!stream->chunked || !stream->conn->keep_alive)
        bytes_puts(out, "Connection: close\r\n");
    bytes_puts(out, "\r\n");
}

static void head_send(struct stream *stream)
{
    struct bytes *out = &stream->conn->server->wire;

    out->len = 0;
    if (stream->answer.spec.stall == MODEL_STALL_HEAD) {
        stream->stage = SILENT;
        return;
    }
    stream->record->status = 200;
    if (stream->answer.spec.headers == HEADERS_ENDLESS) {
        bytes_puts(out, "HTTP/1.1 200 OK\r\n");
        stream->stage = ENDLESS;
        conn_send(stream->conn, out->data, out->len);
    } else if (stream->whole) {
        whole_make(stream, out);
        emit(stream, out);
    } else {
        head_make(stream, out);
        stream->stage = BODY;
        conn_send(stream->conn, out->data, out->len);
    }
}

static void endless_send(struct stream *stream)
{
    struct bytes *out = &stream->conn->server->wire;

    out->len = 0;
    bytes_printf(out, "X-Endless-%llu: ", (unsigned long long)stream->conn->sent);
    bytes_fill(out, 'x', ENDLESS_PIECE - 2 - out->len);
    bytes_puts(out, "\r\n");
    conn_send(stream->conn, out->data, out->len);
    stream->next_at = pacer_now_us() + 1000u;
}

/* Sends the next event, or the next batch of them. */
static void body_send(struct stream *stream)
{
    struct server *server = stream->conn->server;
    struct bytes *out = &server->wire, *body = &server->body;
    enum answer_verdict verdict = ANSWER_EVENT;
    uint32_t left = cutter_batch(&stream->cutter);

    out->len = 0;
    do {
        uint64_t delay;
        body->len = 0;
        verdict = answer_next(&stream->answer, body, &server->scratch, &delay);
        stream->next_at += delay;
        if (body->len)
            framer_put(&stream->framer, body->data, body->len, out);
        else if (delay)
            break; /* a pause: what is in hand must not wait for what comes after it */
    } while (verdict == ANSWER_EVENT && --left && out->len < BATCH_MAX);
    if (verdict == ANSWER_COMPLETE || verdict == ANSWER_ERROR || verdict == ANSWER_ENDCHUNK)
        framer_end(&stream->framer, out);
    else if (verdict != ANSWER_EVENT)
        framer_flush(&stream->framer, out);
    if (verdict != ANSWER_EVENT) {
        stream->outcome = verdict;
        stream->stage = verdict == ANSWER_STALL ? SILENT : LAST;
    }
    emit(stream, out);
    note(stream);
}

/* All is written: end the record and tell the connection how to go on.  Frees the stream (but for a pending reset). */
static void commit(struct stream *stream)
{
    struct conn *conn = stream->conn;
    bool reuse = stream->chunked || (stream->whole && stream->answer.spec.http == HTTP_CHUNKED);

    switch (stream->outcome) {
    case ANSWER_RESET:
        stream->stage = DRAIN;
        stream->give_up_at = pacer_now_us() + RESET_WAIT_US;
        return;
    case ANSWER_CLOSE:
        stream_free(stream, "fault:close");
        conn->fate = CONN_CLOSE;
        return;
    case ANSWER_ENDCHUNK:
        stream_free(stream, "fault:endchunk");
        break;
    case ANSWER_ERROR:
        stream_free(stream, "fault:errorat");
        break;
    default:
        stream_free(stream, "complete");
        break;
    }
    conn_answered(conn, reuse);
}

/* Does whatever can be done now, at most WRITES_PER_TURN writes of it.  The stream may be gone afterwards. */
static void run(struct stream *stream)
{
    struct conn *conn = stream->conn;
    struct pacer *pacer = &conn->server->pacer;
    uint64_t now = pacer_now_us();

    for (unsigned turn = 0; turn < WRITES_PER_TURN; turn++) {
        if (conn->fate != CONN_OPEN || conn_busy(conn))
            return;
        if (piece_send(stream)) {
            if (!stream->cutter.gap_us)
                continue;
            pacer_set(pacer, &stream->node, now + stream->cutter.gap_us);
            return;
        }
        switch (stream->stage) {
        case SILENT:
            return;
        case LAST:
            commit(stream);
            if (!conn->stream)
                return;
            break;
        case DRAIN:
            if (conn_unsent(conn) && now < stream->give_up_at) {
                pacer_set(pacer, &stream->node, now + RESET_POLL_US);
                return;
            }
            stream_free(stream, "fault:reset");
            conn->fate = CONN_RESET;
            return;
        default:
            if (now < stream->next_at) {
                pacer_set(pacer, &stream->node, stream->next_at);
                return;
            }
            if (stream->stage == HEAD)
                head_send(stream);
            else if (stream->stage == BODY)
                body_send(stream);
            else
                endless_send(stream);
        }
    }
    pacer_yield(pacer, &stream->node);
}

static void fire(struct pacer_node *node)
{
    struct stream *stream = (struct stream *)(void *)((char *)node - offsetof(struct stream, node));
    struct conn *conn = stream->conn;

    run(stream);
    conn_settle(conn);
}

void stream_resume(struct stream *stream)
{
    uint64_t now = pacer_now_us();

    /* The time that a full socket took is not caught up: a burst would only fill it again. */
    if (stream->stage == BODY && stream->next_at < now)
        stream->next_at = now;
    run(stream);
}
