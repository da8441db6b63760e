#include "refusal.h"

#include <stdio.h>

#include "bytes.h"
#include "conn.h"
#include "model_spec.h"
#include "record.h"
#include "reply.h"

static const struct {
    unsigned status;
    const char *type, *code, *message;
} refusals[] = {
    {400, "invalid_request_error", NULL, "The request is invalid, as the model name asked for."},
    {401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."},
    {403, "invalid_request_error", "unsupported_country_region_territory", "Country, region, or territory not supported"},
    {404, "invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."},
    {429, "requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."},
    {500, "server_error", NULL, "The server had an error while processing your request. Sorry about that!"},
    {503, "server_error", NULL, "That model is currently overloaded with other requests. Please try again later."},
};

static const char html_page[] =
    "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    "<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>proxy</center>\r\n</body>\r\n</html>\r\n";

static void refuse_status(struct conn *conn, struct record *record, const struct model_spec *spec)
{
    unsigned status = (unsigned)spec->status;
    char extra[64] = "";
    size_t row = status < 500 ? 0 : 5; /* what the list does not name: the plain client or server error */

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i].status == status)
            row = i;
    if (status == 429 || status == 503)
        snprintf(extra, sizeof extra, "Retry-After: %llu\r\n", (unsigned long long)spec->retryafter);
    record->fault = "status";
    reply_error(conn, record, "fault:status", status, extra, refusals[row].message, refusals[row].type, NULL, refusals[row].code);
}

bool refusal_send(struct conn *conn, struct record *record, const struct model_spec *spec)
{
    if (spec->html) {
        struct bytes page = {0};
        bytes_puts(&page, html_page);
        record->fault = "html";
        reply_send(conn, record, "fault:html", 502, "text/html", NULL, &page);
        bytes_free(&page);
        return true;
    }
    if (spec->status == MODEL_STATUS_200JSON) {
        record->fault = "status";
        reply_error(conn, record, "fault:status", 200, NULL, refusals[5].message, refusals[5].type, NULL, NULL);
        return true;
    }
    if (spec->status != MODEL_UNSET) {
        refuse_status(conn, record, spec);
        return true;
    }
    return false;
}

void refusal_key(struct conn *conn, struct record *record, bool key_given)
{
    static const char challenge[] = "WWW-Authenticate: Bearer realm=\"mock\"\r\n";

    if (key_given)
        reply_error(conn, record, "complete", 401, challenge, "Incorrect API key provided.", "invalid_request_error", NULL,
                    "invalid_api_key");
    else
        reply_error(conn, record, "complete", 401, challenge,
                    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer "
                    "auth (i.e. Authorization: Bearer YOUR_KEY).",
                    "invalid_request_error", NULL, NULL);
}
