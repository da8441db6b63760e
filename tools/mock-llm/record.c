#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "http_request.h"
#include "pacer.h"

#define VALUE_MAX 256u /* bytes of a client's string that a record keeps */

static void member(struct bytes *out, const char *name, const char *value)
{
    size_t size = value ? strlen(value) : 0;

    bytes_printf(out, ",\"%s\":", name);
    if (!value) {
        bytes_puts(out, "null");
        return;
    }
    if (size > VALUE_MAX) { /* not in the middle of a character */
        size = VALUE_MAX;
        while (size && ((unsigned char)value[size] & 0xc0) == 0x80)
            size--;
    }
    bytes_puts(out, "\"");
    bytes_json(out, value, size);
    bytes_puts(out, "\"");
}

/* The header fields of interest; secrets only by their length. */
static void fields(const struct http_head *head, struct bytes *out)
{
    static const char *const shown[] = {
        "host",       "user-agent",        "accept",      "accept-encoding", "content-type",
        "connection", "transfer-encoding", "traceparent", "x-request-id",    "openai-organization",
        "anthropic-version", "x-dashscope-sse"};
    static const char *const keys[] = {"api-key", "x-api-key", "x-goog-api-key"};

    bytes_printf(out, ",\"headers\":{\"http\":\"1.%d\"", head->minor);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        const char *value = http_head_get(head, shown[i]);
        if (value)
            member(out, shown[i], value);
    }
    const char *key = http_head_get(head, "authorization");
    if (key) {
        size_t scheme = strcspn(key, " ");
        size_t length = strlen(key + scheme + strspn(key + scheme, " "));
        if (length) /* without a space the whole value may be the key */
            bytes_printf(out, ",\"authorization\":\"%s <%zu bytes>\"", strncasecmp(key, "bearer ", 7) ? "other" : "Bearer",
                         length);
        else
            bytes_printf(out, ",\"authorization\":\"<%zu bytes>\"", scheme);
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        key = http_head_get(head, keys[i]);
        if (key)
            bytes_printf(out, ",\"%s\":\"<%zu bytes>\"", keys[i], strlen(key));
    }
    bytes_puts(out, "}");
}

/* What changes while the request runs. */
static void progress(const struct record *record, struct bytes *out)
{
    double ms = record->duration_ms;

    if (!*record->end)
        ms = (double)(pacer_now_us() - record->start_us) / 1000.0;
    bytes_printf(out, ",\"status\":%u,\"tokens\":%llu,\"bytes\":%llu,\"duration_ms\":%.3f", record->status,
                 (unsigned long long)record->tokens, (unsigned long long)record->bytes, ms);
    member(out, "fault", record->fault);
    member(out, "end", *record->end ? record->end : NULL);
}

static void log_line(const struct record_log *log, const struct record *record, const char *event)
{
    struct bytes line = {0};

    if (!log->file)
        return;
    bytes_printf(&line, "{\"event\":\"%s\",%s", event, record->fixed);
    if (*record->end)
        progress(record, &line);
    bytes_puts(&line, "}\n");
    fwrite(line.data, 1, line.len, log->file);
    fflush(log->file); /* tests read the file while we run */
    bytes_free(&line);
}

struct record *record_begin(struct record_log *log, const struct record_facts *facts)
{
    struct record *record = bytes_alloc(sizeof *record);
    struct bytes fixed = {0};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    record->id = ++log->ids;
    record->generation = log->generation;
    record->start_us = pacer_now_us();
    bytes_printf(&fixed, "\"id\":%llu,\"time\":%lld.%06ld,\"connection\":%llu,\"request\":%llu", (unsigned long long)record->id,
                 (long long)now.tv_sec, now.tv_nsec / 1000, (unsigned long long)facts->connection,
                 (unsigned long long)facts->nth);
    member(&fixed, "peer", facts->peer);
    member(&fixed, "method", facts->head ? facts->head->method : NULL);
    member(&fixed, "path", facts->head ? facts->head->target : NULL);
    member(&fixed, "model", facts->model);
    bytes_printf(&fixed, ",\"messages\":%llu,\"body_bytes\":%llu,\"stream\":%s", (unsigned long long)facts->messages,
                 (unsigned long long)facts->body_bytes, facts->stream ? "true" : "false");
    if (facts->head)
        fields(facts->head, &fixed);
    record->fixed = bytes_copy(fixed.data, fixed.len);
    bytes_free(&fixed);
    if (facts->model)
        record->model = bytes_copy(facts->model, strlen(facts->model));
    record->holders = 2; /* the ring's and the caller's */
    record_drop(log->ring[log->next]);
    log->ring[log->next] = record;
    log->next = (log->next + 1) % RECORD_RING;
    if (log->kept < RECORD_RING)
        log->kept++;
    log->active++;
    log->total++;
    log_line(log, record, "start");
    return record;
}

void record_end(struct record_log *log, struct record *record, const char *end)
{
    if (*record->end)
        return;
    snprintf(record->end, sizeof record->end, "%s", end);
    record->duration_ms = (double)(pacer_now_us() - record->start_us) / 1000.0;
    log->active--;
    if (record->generation == log->generation && !strcmp(end, "client_closed"))
        log->client_closed++;
    log_line(log, record, "end");
}

void record_drop(struct record *record)
{
    if (!record || --record->holders)
        return;
    free(record->fixed);
    free(record->model);
    free(record);
}

void record_list(const struct record_log *log, const char *model, struct bytes *out)
{
    const char *separator = "";

    bytes_printf(out, "{\"active\":%llu,\"total\":%llu,\"client_closed\":%llu,\"requests\":[", (unsigned long long)log->active,
                 (unsigned long long)log->total, (unsigned long long)log->client_closed);
    for (uint64_t i = 0; i < log->kept; i++) {
        const struct record *record = log->ring[(log->next + RECORD_RING - log->kept + i) % RECORD_RING];
        if (model && (!record->model || strcmp(model, record->model)))
            continue;
        bytes_printf(out, "%s\n{%s", separator, record->fixed);
        progress(record, out);
        bytes_puts(out, "}");
        separator = ",";
    }
    bytes_puts(out, "]}\n");
}

void record_reset(struct record_log *log)
{
    for (size_t i = 0; i < RECORD_RING; i++) {
        record_drop(log->ring[i]);
        log->ring[i] = NULL;
    }
    log->next = log->kept = 0;
    log->total = log->client_closed = 0;
    log->generation++;
}
