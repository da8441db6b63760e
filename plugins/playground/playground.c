/* playground/playground.c - serves the page that shows one answer on every protocol at once.  The page's script talks to the transports
 * itself; nothing of an answer passes through here, and no client of this plugin is ever let in anywhere. */
#include <stdbool.h>
#include <string.h>

#include <umbel/http.h>

#include "files.h"
#include "ways.h"

struct playground {
    const struct umbel_host *host;
    struct umbel_out body, headers;
    struct ways ways;
    const char *key; /* "" = visitors type theirs */
};

static const char text_type[] = "text/plain; charset=utf-8";

/* The answer's headers, zero-terminated.  etag NULL: nothing of it may be kept by anybody. */
static const char *headers_of(struct playground *playground, const char *host, const char *type, const char *etag)
{
    struct umbel_out *out = &playground->headers;

    umbel_out_reset(out);
    umbel_out_printf(out, "Content-Type: %s\r\nContent-Security-Policy: ", type);
    ways_policy(&playground->ways, host, out);
    umbel_out_text(out, "\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nX-Frame-Options: DENY\r\n"
                        "Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n"
                        "Permissions-Policy: camera=(), geolocation=(), microphone=(), payment=(), usb=()\r\n");
    if (etag)
        umbel_out_printf(out, "ETag: %s\r\n", etag);
    umbel_out_text(out, etag && strncmp(type, "text/html", 9) != 0 ? "Cache-Control: no-cache\r\n" : "Cache-Control: no-store\r\n");
    umbel_out_put(out, "", 1);
    return out->failed ? "Content-Security-Policy: default-src 'none'\r\n" : out->data;
}

static void answer_text(struct playground *playground, struct umbel_http_request *request, uint32_t status, const char *text)
{
    umbel_http_answer(request, status, headers_of(playground, "localhost", text_type, NULL), text, strlen(text));
}

/* Does the request come from this machine, by a name that means this machine, not through a proxy, and from no page of somebody else?  Only
 * then the key is handed out: a page that listens on 127.0.0.1 can be reached by any page that the same browser shows. */
static bool is_at_home(struct umbel_http_request *request)
{
    static const char *const by_proxies[] = {"forwarded", "x-forwarded-for", "x-real-ip", "via"};
    const char *site = umbel_http_header(request, "sec-fetch-site"), *host = umbel_http_header(request, "host");

    for (size_t i = 0; i < sizeof by_proxies / sizeof by_proxies[0]; i++)
        if (umbel_http_header(request, by_proxies[i]))
            return false;
    if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;
    return ways_peer_is_loopback(umbel_http_peer(request)) && host && ways_host_is_loopback(host);
}

static void answer_transports(struct playground *playground, struct umbel_http_request *request, const char *host)
{
    const char *key = *playground->key && is_at_home(request) ? playground->key : NULL;

    umbel_out_reset(&playground->body);
    ways_json(&playground->ways, host, key, &playground->body);
    if (playground->body.failed)
        answer_text(playground, request, 503, "out of memory\n");
    else
        umbel_http_answer(request, 200, headers_of(playground, host, "application/json", NULL), playground->body.data, playground->body.size);
    if (playground->body.data && key)
        explicit_bzero(playground->body.data, playground->body.size);
}

/* FNV-1a of what the file holds, in quotes: another build of the same page has the same. */
static void etag_of(const struct playground_file *file, char ret_etag[19])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t hash = 14695981039346656037ull;

    for (size_t i = 0; i < file->size; i++)
        hash = (hash ^ file->data[i]) * 1099511628211ull;
    ret_etag[0] = ret_etag[17] = '"';
    for (int i = 0; i < 16; i++)
        ret_etag[i + 1] = digits[hash >> (60 - 4 * i) & 15];
    ret_etag[18] = '\0';
}

static void answer_file(struct playground *playground, struct umbel_http_request *request, const struct playground_file *file, const char *host)
{
    const char *known = umbel_http_header(request, "if-none-match");
    char etag[19];

    etag_of(file, etag);
    const char *headers = headers_of(playground, host, file->type, etag);
    if (known && (strstr(known, etag) || strcmp(known, "*") == 0))
        umbel_http_answer(request, 304, headers, NULL, 0);
    else
        umbel_http_answer(request, 200, headers, file->data, file->size);
}

static void on_request(void *self, struct umbel_http_request *request)
{
    struct playground *playground = self;
    const char *path = umbel_http_path(request), *host = umbel_http_header(request, "host");

    if (!host || !ways_host_ok(host)) {
        answer_text(playground, request, 400, "the Host header names no host\n");
        return;
    }
    if (strcmp(path, "/transports.json") == 0) {
        answer_transports(playground, request, host);
        return;
    }
    for (const struct playground_file *file = playground_files; file->path; file++)
        if (strcmp(path, file->path) == 0) {
            answer_file(playground, request, file, host);
            return;
        }
    answer_text(playground, request, 404, "the page is at /\n");
}

/* Nothing here asks the core: the callbacks of answers are never called. */
static const struct umbel_http_codec codec = {.struct_size = sizeof codec,
                                              .max_line = 2048,
                                              .max_headers = 8192,
                                              .max_body = 1024, /* read and ignored */
                                              .methods = "GET, HEAD",
                                              .request = on_request};

static void add_way(struct playground *playground, const struct umbel_config *section)
{
    const struct umbel_host *host = playground->host;
    const struct way way = {host->config_title(section), host->config_text(section, "protocol"), host->config_text(section, "url"),
                            host->config_text(section, "note")};

    if (!ways_url_ok(way.url))
        host->log(host, UMBEL_LOG_WARN, NULL, "transport %s is not on the page: %s is no address that its policy can name", way.name, way.url);
    else if (playground->ways.count == WAYS_MAX)
        host->log(host, UMBEL_LOG_WARN, NULL, "transport %s is not on the page: it has %u already", way.name, WAYS_MAX);
    else
        playground->ways.items[playground->ways.count++] = way;
}

static void read_options(struct playground *playground, const struct umbel_config *config)
{
    const struct umbel_host *host = playground->host;
    const struct umbel_config *section;

    playground->key = host->config_text(config, "key");
    playground->ways.app = host->config_text(config, "app");
    playground->ways.im_view = host->config_text(config, "im_view");
    playground->ways.im_mirrors = host->config_integer(config, "im_mirrors") != 0;
    if (*playground->ways.im_view && !ways_url_ok(playground->ways.im_view)) {
        host->log(host, UMBEL_LOG_WARN, NULL, "no IM messages on the page: im_view is no address that its policy can name");
        playground->ways.im_view = "";
    }
    for (uint32_t i = 0; (section = host->config_section(config, "way", i)); i++)
        add_way(playground, section);
}

static int setup(struct playground *playground, const struct umbel_host *host, const struct umbel_config *config)
{
    playground->host = host;
    read_options(playground, config);
    return 0;
}

static void cleanup(struct playground *playground)
{
    umbel_out_free(&playground->body);
    umbel_out_free(&playground->headers);
}

static const struct umbel_option way_options[] = {
    {.type = UMBEL_OPTION_TEXT,
     .flags = UMBEL_OPTION_REQUIRED,
     .name = "protocol",
     .choices = "ws-bmob|http-chunked-wxapp|ws-chatgpt",
     .help = "the plugin that serves it"},
    {.type = UMBEL_OPTION_TEXT,
     .flags = UMBEL_OPTION_REQUIRED,
     .name = "url",
     .help = "where browsers find it, up to and without the key: \"wss://chat.example.com/1/ai\"; the host * is that of the page"},
    {.type = UMBEL_OPTION_TEXT, .name = "note", .help = "its max_stream_note, which is no part of an answer"},
};

/* For `playground { }` the core fills them in; a transport section may name this plugin too. */
static const struct umbel_option options[] = {
    {.type = UMBEL_OPTION_TEXT, .name = "app", .help = "the app whose transports these are, shown on the page"},
    {.type = UMBEL_OPTION_SECRET, .name = "key", .help = "client key that visitors on this machine are given; empty: everybody types one"},
    {.type = UMBEL_OPTION_TEXT, .name = "im_view", .help = "http:// address of the commands of umbel-mock-tim; empty = none"},
    {.type = UMBEL_OPTION_BOOL, .name = "im_mirrors", .otherwise = "false", .help = "a bot of the app has mirror = true"},
    {.type = UMBEL_OPTION_SECTION,
     .name = "way",
     .section = way_options,
     .section_count = sizeof way_options / sizeof *way_options,
     .help = "one a transport that the page connects to"},
};

UMBEL_HTTP_TRANSPORT_WITH(struct playground, codec, setup, cleanup, .name = "playground", .version = UMBEL_VERSION,
                          .summary = "a page that shows one answer on every protocol at once", UMBEL_OPTIONS(options));
