/* Fuzz: what an operator's authorize service answers.  Either -EBADMSG with words that hold nothing of the body, or a reply within its bounds
 * whose texts are one line of UTF-8 each. */
#include <errno.h>

#include "core/authorize/authorize_reply.h"
#include "core/parse/utf8.h"
#include "tests/fuzz/pieces.h"

static void check_line(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);

    REQUIRE(size <= max && utf8_whole(text, size) == size);
    for (size_t i = 0; i < size; i++) {
        const unsigned char *c = (const unsigned char *)text + i;
        REQUIRE(*c >= 0x20 && *c != 0x7f);
        REQUIRE(!(c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0));
        REQUIRE(!(c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct authorize_reply reply;
    struct why why = {""};
    int r;

    memset(&reply, 0x55, sizeof reply);
    r = authorize_reply_read((const char *)data, size, &reply, &why);
    REQUIRE(r == 0 || (r == -EBADMSG && why.text[0]));
    if (r < 0)
        return 0;
    check_line(reply.user, AUTHORIZE_USER_MAX);
    check_line(reply.message, AUTHORIZE_MESSAGE_MAX);
    REQUIRE(reply.cache_s <= AUTHORIZE_CACHE_S_MAX);
    return 0;
}
