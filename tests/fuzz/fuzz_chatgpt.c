/* Fuzz: the requests of ws-chatgpt, JSON's and Python's way of writing them.  Refused with the protocol's words, or what goes to the core is
 * JSON of the right shape. */
#include "core/parse/utf8.h"
#include "plugins/ws-chatgpt/chatgpt_request.h"
#include "tests/fuzz/pieces.h"

static void check_json(const struct umbel_out *out, int type)
{
    struct umbel_json *json;

    REQUIRE(!out->failed);
    json = umbel_json_parse(out->size ? out->data : "", out->size, NULL, 0);
    REQUIRE(json && umbel_json_type(json) == type);
    umbel_json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"gpt-3.5-turbo", "gpt-4", "text-davinci-003", "demo"};
    static const struct chatgpt_models models = {names, 4};
    struct chatgpt_request request;
    char why[CHATGPT_WHY_MAX] = "";
    int r = chatgpt_request_read((const char *)data, size, &models, &request, why);

    REQUIRE(r == 0 || ((r == CHATGPT_JSON || r == CHATGPT_PARAM) && why[0] && strlen(why) < sizeof why));
    if (r == 0) {
        REQUIRE(request.seq && request.seq_size > 0 && utf8_whole(request.seq, request.seq_size) == request.seq_size);
        if (request.kind == CHATGPT_ASK) {
            check_json(&request.messages, UMBEL_JSON_ARRAY);
            check_json(&request.parameters, UMBEL_JSON_OBJECT);
        }
    }
    chatgpt_request_free(&request);
    return 0;
}
