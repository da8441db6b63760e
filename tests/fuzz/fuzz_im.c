/* Fuzz: what the messaging service says to im-custom-message: webhooks, replies to its calls, and the signature in an address.
 * Input: byte 0 chooses; the rest is a webhook's body, a reply, or "sign" and "time" between zero bytes. */
#include "core/parse/utf8.h"
#include "plugins/im-custom-message/im_body.h"
#include "plugins/im-custom-message/im_notice.h"
#include "plugins/im-custom-message/im_sign.h"
#include "tests/fuzz/pieces.h"

#define BOTS 4u

static bool is_known(void *arg, const char *account)
{
    (void)arg;
    return strncmp(account, "bot", 3) == 0;
}

static void check_notice(const char *command, const char *body, size_t size)
{
    for (unsigned index = 0; index < BOTS; index++) {
        struct im_notice notice;
        im_notice_read(command, body, size, is_known, NULL, index, &notice);
        REQUIRE(notice.kind <= IM_NOTICE_STRANGE);
        REQUIRE(strnlen(notice.user, IM_ID_MAX) < IM_ID_MAX && strnlen(notice.group, IM_ID_MAX) < IM_ID_MAX);
        REQUIRE(strnlen(notice.bot, IM_ID_MAX) < IM_ID_MAX && strnlen(notice.once, sizeof notice.once) < sizeof notice.once);
        REQUIRE(strnlen(notice.stop_key, IM_ID_MAX) < IM_ID_MAX);
        if (notice.kind == IM_NOTICE_QUESTION) {
            REQUIRE(is_known(NULL, notice.bot) && notice.text.size > 0 && !notice.text.failed);
            REQUIRE(utf8_whole(notice.text.data, notice.text.size) == notice.text.size);
        }
        if (notice.kind == IM_NOTICE_NOTHING)
            REQUIRE(notice.why && notice.why[0]);
        im_notice_free(&notice);
    }
}

static void check_reply(const char *body, size_t size)
{
    static const struct im_answer answer;
    static const struct im_step step;
    char key[IM_KEY_MAX], info[16];

    memset(info, 'x', sizeof info);
    memset(key, 'x', sizeof key);
    int64_t code = im_reply_read(body, size, &answer, &step, key, info, sizeof info);
    REQUIRE(code >= -1 && strnlen(key, sizeof key) < sizeof key && strnlen(info, sizeof info) < sizeof info);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const commands[] = {"", "Bot.OnC2CMessage", "C2C.CallbackAfterSendMsg", "Group.CallbackAfterSendMsg", "Bot.OnGroupMessage"};
    char *text = malloc(size + 2);

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = text[size + 1] = '\0';
    if (size > 0 && data[0] % 8 < 5)
        check_notice(commands[data[0] % 8], text + 1, size - 1);
    else if (size > 0 && data[0] % 8 == 5)
        check_reply(text + 1, size - 1);
    else if (size > 0) /* nobody signs by chance */
        REQUIRE(!im_webhook_is_genuine("token", text + 1, strlen(text) < size ? text + strlen(text) + 1 : NULL, 1700000000));
    free(text);
    return 0;
}
