/* Fuzz: whole HTTP requests as wxapp and openai-api read them: the carrier's own parser and accessors, the codecs' readers, and a carrier that
 * only looks at what they want.  What goes to the core is JSON of the right shape; no header line that goes out has a second line in it.
 * Input: byte 0: which codec; then one request, head and body. */
#include "core/carrier/http_request.c" /* itself: the rest of the carrier is played below */

#include <umbel/json.h>

#include "plugins/http-chunked-wxapp/wxapp.h"
#include "plugins/openai-api/openai.h"
#include "tests/fuzz/pieces.h"

#define CODEC_BYTES (sizeof(struct wxapp_request) > sizeof(struct openai_request) ? sizeof(struct wxapp_request) : sizeof(struct openai_request))

static int asked; /* what the codec has done with the request: at most one of these */

const struct umbel_codec http_reader_codec;

static void check_headers(const char *headers)
{
    for (const char *line = headers; line && *line;) {
        const char *end = strstr(line, "\r\n"), *colon = strchr(line, ':');
        REQUIRE(end && end > line && colon && colon < end && colon > line);
        for (; line < end; line++)
            REQUIRE((unsigned char)*line >= ' ' && *line != 0x7f);
        line = end + 2;
    }
}

void http_answer_plain(struct umbel_http_request *request, uint32_t status, const char *text)
{
    (void)request;
    REQUIRE(status >= 400 && text);
}

uint32_t umbel_http_ask(struct umbel_http_request *request, const struct umbel_request *question)
{
    struct umbel_json *messages = umbel_json_parse(question->messages, question->messages_size, NULL, 0);

    (void)request;
    REQUIRE(messages && umbel_json_type(messages) == UMBEL_JSON_ARRAY && umbel_json_count(messages) > 0);
    umbel_json_free(messages);
    if (question->parameters && question->parameters_size) {
        struct umbel_json *parameters = umbel_json_parse(question->parameters, question->parameters_size, NULL, 0);
        REQUIRE(parameters && umbel_json_type(parameters) == UMBEL_JSON_OBJECT && !umbel_json_member(parameters, "messages"));
        umbel_json_free(parameters);
    }
    REQUIRE(!question->model || *question->model);
    asked++;
    return 0;
}

uint32_t umbel_http_watch(struct umbel_http_request *request, const char *session)
{
    (void)request;
    REQUIRE(session && *session);
    asked++;
    return 0;
}

uint32_t umbel_http_resume(struct umbel_http_request *request, const char *stream_id, uint64_t position)
{
    (void)request, (void)position;
    REQUIRE(stream_id && *stream_id);
    asked++;
    return 0;
}

void umbel_http_answer(struct umbel_http_request *request, uint32_t status, const char *headers, const void *body, size_t size)
{
    (void)request, (void)body, (void)size;
    REQUIRE(status >= 200 && status < 600);
    check_headers(headers);
    asked++;
}

void umbel_http_begin(struct umbel_http_request *request, const struct umbel_http_start *start)
{
    (void)request;
    check_headers(start->headers);
}

static const char *item(const struct umbel_config *config, const char *name, uint32_t index)
{
    (void)config;
    return strcmp(name, "models") == 0 ? (index == 0 ? "demo" : NULL) : index == 0 ? "https://a.example" : NULL;
}

static void count(const struct umbel_host *host, const char *name, uint64_t add)
{
    (void)host, (void)name, (void)add;
}

static void client_close(struct umbel_client *client)
{
    (void)client;
}

static struct umbel_host host = {.struct_size = sizeof host, .config_item = item, .count = count, .client_close = client_close};

static void run_wxapp(struct umbel_http_request *request, bool origins)
{
    static struct wxapp wxapp;
    struct wxapp_request *mine = umbel_http_data(request);
    struct umbel_http_start start;
    const char *what;

    wxapp.host = &host;
    host.config_item = item;
    (void)origins;
    if (!wxapp_read(request)) {
        uint32_t error = wxapp_act(&wxapp, request, &what);
        REQUIRE(what && asked <= 1 && (error == 0) == (asked == 1));
        wxapp_start(&wxapp, request, &start);
    }
    check_headers(wxapp_headers(&wxapp, request, mine->mini, NULL));
    check_headers(wxapp_preflight_headers(&wxapp, request));
    umbel_json_free(mine->body);
}

static void run_openai(struct umbel_http_request *request)
{
    static struct openai openai;
    struct openai_request *mine = umbel_http_data(request);
    const char *what = NULL;
    uint32_t status = 0, error;

    openai.host = &host;
    error = openai_read(request, &what, &status);
    if (error == 0) {
        error = openai_act(&openai, request, &what);
        REQUIRE(what && asked <= 1 && (error == 0) == (asked == 1));
    }
    umbel_json_free(mine->body);
    free(mine->name);
}

/* As http_receive.c makes it of bytes that have come. */
static struct umbel_http_request *receive(struct http_conn *conn, const char *bytes, size_t size)
{
    size_t scanned = 0, line = 0;
    long head = http_head_scan(bytes, size, 4096, 8192, &scanned, &line);
    struct umbel_http_request *request;

    if (head <= 0)
        return NULL;
    request = http_request_new(conn);
    REQUIRE(request);
    request->input->bytes = malloc((size_t)head);
    REQUIRE(request->input->bytes);
    request->input->size = (size_t)head;
    memcpy(request->input->bytes, bytes, (size_t)head);
    if (http_head_parse(request->input->bytes, (size_t)head, &request->input->head) != 0 || http_request_aim(request) != 0) {
        http_request_free(request);
        return NULL;
    }
    if (request->input->head.chunked) {
        struct http_dechunk dechunk = {0};
        if (http_dechunk_feed(&dechunk, bytes + head, size - (size_t)head, 1u << 16, &request->input->body) < 0)
            umbel_out_reset(&request->input->body);
    } else {
        umbel_out_put(&request->input->body, bytes + head, size - (size_t)head);
    }
    return request;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct umbel_http_codec codec = {.request_size = CODEC_BYTES, .methods = "GET, POST, DELETE"};
    struct umbel_http http = {.host = &host, .codec = &codec};
    struct http_conn conn = {.http = &http, .fd = -1};
    struct umbel_http_request *request;

    if (size < 2)
        return 0;
    asked = 0;
    request = receive(&conn, (const char *)data + 1, size - 1);
    if (!request)
        return 0;
    if (data[0] % 2 == 0)
        run_wxapp(request, data[0] & 2);
    else
        run_openai(request);
    http_request_free(request);
    return 0;
}
