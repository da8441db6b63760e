/* Fuzz: what a visitor's Host header, and an operator's address of a transport, may put into the playground's policy header and its JSON: no
 * further directive, no line, no second origin.
 * Input: a Host header, a zero byte, an address. */
#include <umbel/json.h>

#include "plugins/playground/ways.h"
#include "tests/fuzz/pieces.h"

static void check_policy(const struct umbel_out *out)
{
    size_t marks = 0;

    for (size_t i = 0; i < out->size; i++) {
        REQUIRE((unsigned char)out->data[i] >= ' ' && (unsigned char)out->data[i] < 0x7f);
        REQUIRE(out->data[i] != ',' && out->data[i] != '"');
        marks += out->data[i] == ';';
    }
    REQUIRE(marks == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *host = malloc(size + 2);
    struct umbel_out out = {0};

    REQUIRE(host);
    memcpy(host, data, size);
    host[size] = host[size + 1] = '\0';
    const char *url = strlen(host) < size ? host + strlen(host) + 1 : "ws://*:8080/1/ai";
    bool good = ways_host_ok(host);
    REQUIRE(good || !ways_host_is_loopback(host));
    ways_peer_is_loopback(host);
    if (good && ways_url_ok(url)) {
        struct ways ways = {.items = {{"bmob", "ws-bmob", url, ""}}, .count = 1, .app = host, .im_view = url};
        ways_policy(&ways, host, &out);
        check_policy(&out);
        umbel_out_reset(&out);
        ways_json(&ways, host, NULL, &out);
        struct umbel_json *json = umbel_json_parse(out.data, out.size, NULL, 0);
        REQUIRE(json);
        umbel_json_free(json);
    }
    umbel_out_free(&out);
    free(host);
    return 0;
}
