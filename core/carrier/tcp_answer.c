/* carrier/tcp_answer.c - one client's question and its answer: between the codec's calls and the host's. */
#include "core/carrier/tcp_carrier.h"

#include <errno.h>

#include "core/base/clock.h"

void *umbel_tcp_data(struct umbel_tcp_client *client)
{
    return client->data;
}

int umbel_tcp_is_answering(const struct umbel_tcp_client *client)
{
    return client->tag != 0;
}

void umbel_tcp_authorize(struct umbel_tcp_client *client, const struct umbel_credential *credentials, uint32_t count)
{
    if (client->gone || client->access == TCP_ASKED)
        return;
    client->access = TCP_ASKED;
    client->tcp->host->authorize(client->client, credentials, count);
}

void tcp_answer_over(struct umbel_tcp_client *client)
{
    client->reader = NULL;
    client->tag = 0;
    client->full = client->stop = false;
    client->heard_ns = clock_now_ns();
    tcp_client_due(client); /* a line may wait for this */
}

static void refuse(struct umbel_tcp_client *client, uint32_t error, const char *text)
{
    if (!client->gone && !client->ending)
        client->tcp->codec->refused(client->tcp->self, client, error, text);
}

void tcp_answer_refusals(struct umbel_tcp_client *client)
{
    uint32_t failed = client->failed;

    client->failed = 0;
    if (failed) {
        tcp_answer_over(client);
        refuse(client, failed, "");
    }
    for (; client->too_many && !client->gone; client->too_many--)
        refuse(client, UMBEL_ERROR_BUSY, "one question at a time");
}

/* True: a question may be asked, and has its tag. */
static bool begin(struct umbel_tcp_client *client, uint32_t variant)
{
    if (client->gone || client->ending)
        return false;
    if (client->tag) {
        client->too_many++;
        tcp_client_due(client);
        return false;
    }
    client->tag = ++client->tcp->next_tag;
    client->variant = variant;
    return true;
}

static void asked(struct umbel_tcp_client *client, int r)
{
    if (r >= 0)
        return;
    client->failed = r == -EPERM ? UMBEL_ERROR_AUTH : r == -EMSGSIZE ? UMBEL_ERROR_BAD_REQUEST : UMBEL_ERROR_BUSY;
    tcp_client_due(client);
}

void umbel_tcp_ask(struct umbel_tcp_client *client, uint32_t variant, const struct umbel_request *request)
{
    if (begin(client, variant))
        asked(client, client->tcp->host->ask(client->client, client->tag, request));
}

void umbel_tcp_resume(struct umbel_tcp_client *client, uint32_t variant, const char *stream_id, uint64_t position)
{
    if (begin(client, variant))
        asked(client, client->tcp->host->resume(client->client, client->tag, stream_id, position));
}

void umbel_tcp_stop(struct umbel_tcp_client *client)
{
    const struct umbel_host *host = client->tcp->host;

    if (client->reader)
        host->stop(client->client, 0, host->reader_stream(client->reader)->id);
    else
        client->stop = client->tag != 0;
}

void umbel_tcp_say(struct umbel_tcp_client *client, const void *bytes, size_t size)
{
    if (client->gone || client->shut_ns || !size)
        return;
    if (client->out.size - client->out_at + size > TCP_SAID_MAX && client->out.size > client->out_at) {
        client->tcp->host->count(client->tcp->host, "tcp_deaf_clients", 1);
        tcp_client_kill(client);
        return;
    }
    umbel_out_put(&client->out, bytes, size);
    if (client->out.failed)
        tcp_client_kill(client);
    else
        tcp_client_send(client);
}

void umbel_tcp_end(struct umbel_tcp_client *client)
{
    const struct umbel_host *host = client->tcp->host;

    if (client->gone || client->ending)
        return;
    client->ending = true;
    if (client->reader)
        host->reader_leave(client->reader);
    else if (client->tag && !client->failed)
        host->abandon(client->client, client->tag);
    client->failed = 0;
    client->tag = 0;
    client->reader = NULL;
    client->full = false;
    tcp_client_due(client); /* it may end: not here, the codec still stands on it */
}

/* --- what the host calls; client_data and reader_data are the connection --- */

static void on_authorized(void *client_data, uint32_t error, const char *text)
{
    struct umbel_tcp_client *client = client_data;

    client->access = TCP_DECIDED;
    client->heard_ns = clock_now_ns();
    client->tcp->codec->authorized(client->tcp->self, client, error, text);
    tcp_client_due(client);
}

static int on_began(void *client_data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream,
                    struct umbel_reader_options *ret_options)
{
    struct umbel_tcp_client *client = client_data;

    if (client->tag != tag)
        return -1;
    client->reader = reader;
    *ret_options = (struct umbel_reader_options){
        .reader_data = client, .variant = client->variant, .max_text = TCP_EVENT_TEXT, .max_batch = TCP_EVENT_TEXT};
    if (client->stop)
        client->tcp->host->stop(client->client, 0, stream->id);
    return 0;
}

static void on_refused(void *client_data, uint64_t tag, uint32_t error, const char *text)
{
    struct umbel_tcp_client *client = client_data;

    if (!tag || client->tag != tag)
        return;
    tcp_answer_over(client);
    refuse(client, error, text);
}

static int on_encode(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream, const struct umbel_event *event,
                     struct umbel_out *out)
{
    const struct umbel_tcp *tcp = self;

    (void)reader_data;
    return tcp->codec->encode(tcp->self, variant, stream, event, out);
}

static int on_write(void *reader_data, const void *bytes, size_t size, int last)
{
    struct umbel_tcp_client *client = reader_data;

    (void)last;
    umbel_out_put(&client->out, bytes, size);
    if (client->out.failed)
        tcp_client_kill(client);
    else
        tcp_client_send(client);
    if (client->gone)
        return -EPIPE;
    client->full = client->out.size - client->out_at > TCP_OUT_FULL;
    return client->full ? UMBEL_WRITE_FULL : UMBEL_WRITE_READY;
}

static void on_ended(void *reader_data, uint32_t verdict)
{
    struct umbel_tcp_client *client = reader_data;

    tcp_answer_over(client);
    if (!verdict)
        refuse(client, UMBEL_ERROR_INTERNAL, "the rest of the answer is lost");
}

const struct umbel_codec tcp_host_codec = {.struct_size = sizeof tcp_host_codec,
                                           .authorized = on_authorized,
                                           .began = on_began,
                                           .refused = on_refused,
                                           .encode = on_encode,
                                           .write = on_write,
                                           .ended = on_ended};
