/* im-custom-message/im_notice.c - see im_notice.h. */
#include "im_notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOT_PREFIX "@RBT#"

struct reading {
    const struct umbel_json *body;
    bool (*known)(void *arg, const char *account);
    void *arg;
    unsigned index;
    struct im_notice *notice;
};

static void nothing(struct im_notice *notice, const char *why)
{
    notice->kind = IM_NOTICE_NOTHING;
    notice->why = why;
}

static bool copy_id(char *to, const char *from)
{
    size_t size = strlen(from);

    if (size == 0 || size >= IM_ID_MAX)
        return false;
    memcpy(to, from, size + 1);
    return true;
}

/* A custom message: ours is {"chatbotPlugin":2,"src":22,"msgKey":".."}: the stop button.  chatbotPlugin must be the number. */
static bool read_stop(const char *data, size_t size, char ret_key[IM_ID_MAX])
{
    char why[160];
    struct umbel_json *value = umbel_json_parse(data, size, why, sizeof why);
    bool is_stop = umbel_json_member_integer(value, "chatbotPlugin", 0) == 2 && umbel_json_member_integer(value, "src", 0) == 22;

    if (is_stop && !copy_id(ret_key, umbel_json_member_text(value, "msgKey", "")))
        ret_key[0] = 0; /* whatever it is, it is no key of ours */
    umbel_json_free(value);
    return is_stop;
}

/* Text elements joined; a stop if there is one. */
static void read_elements(struct reading *reading)
{
    struct im_notice *notice = reading->notice;
    const struct umbel_json *list = umbel_json_member(reading->body, "MsgBody");
    bool custom = false;

    for (const struct umbel_json *element = umbel_json_first(list); element; element = umbel_json_next(element)) {
        const char *type = umbel_json_member_text(element, "MsgType", "");
        const struct umbel_json *content = umbel_json_member(element, "MsgContent");
        size_t size = 0;
        if (strcmp(type, "TIMTextElem") == 0) {
            const char *text = umbel_json_text(umbel_json_member(content, "Text"), &size);
            if (text)
                umbel_out_put(&notice->text, text, size);
        } else if (strcmp(type, "TIMCustomElem") == 0) {
            const char *data = umbel_json_text(umbel_json_member(content, "Data"), &size);
            custom = true;
            if (data && read_stop(data, size, notice->stop_key)) {
                notice->kind = IM_NOTICE_STOP;
                return;
            }
        }
    }
    notice->kind = notice->text.size ? IM_NOTICE_QUESTION : IM_NOTICE_STRANGE;
    if (notice->kind == IM_NOTICE_STRANGE && (custom || umbel_json_count(list) == 0))
        nothing(notice, "im_dropped_empty"); /* a custom message of somebody else's */
}

/* Removes every "@account" of the bot (the text holds its account, or its name without the prefix is left alone) and white space around. */
static void strip_mention(struct umbel_out *text, const char *bot)
{
    char mention[IM_ID_MAX + 1];
    size_t size = (size_t)snprintf(mention, sizeof mention, "@%s", bot), at = 0, to = 0;

    if (!text->size)
        return;
    while (at < text->size) {
        bool here = text->size - at >= size && memcmp(text->data + at, mention, size) == 0;
        unsigned char next = here && text->size - at > size ? (unsigned char)text->data[at + size] : ' ';
        /* "@@RBT#tea" is not meant where "@@RBT#teapot" stands */
        bool longer = (next >= '0' && next <= '9') || (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || next == '_';
        if (here && !longer)
            at += size;
        else
            text->data[to++] = text->data[at++];
    }
    text->size = to;
    for (at = 0; at < to && strchr(" \t\r\n", text->data[at]);)
        at++;
    memmove(text->data, text->data + at, to - at);
    for (text->size = to - at; text->size && strchr(" \t\r\n", text->data[text->size - 1]);)
        text->size--;
}

/* From whom, and is it a person? */
static bool read_sender(struct reading *reading)
{
    const char *from = umbel_json_member_text(reading->body, "From_Account", "");

    if (strncmp(from, BOT_PREFIX, strlen(BOT_PREFIX)) == 0) {
        nothing(reading->notice, "im_dropped_bot"); /* what bots send comes back here too: two of them would talk for ever */
        return false;
    }
    if (!copy_id(reading->notice->user, from)) {
        nothing(reading->notice, "im_dropped_unknown");
        return false;
    }
    return true;
}

static void read_private(struct reading *reading, bool after_send)
{
    struct im_notice *notice = reading->notice;
    const char *to = umbel_json_member_text(reading->body, "To_Account", "");
    const char *key = umbel_json_member_text(reading->body, "MsgKey", "");

    if (reading->index > 0)
        return; /* one message, one bot */
    if (umbel_json_member_integer(reading->body, "SendMsgResult", 0) != 0) {
        nothing(notice, "im_dropped_unsent");
        return;
    }
    if (!read_sender(reading))
        return;
    if (!copy_id(notice->bot, to) || !reading->known(reading->arg, to)) {
        nothing(notice, "im_dropped_unknown");
        return;
    }
    read_elements(reading);
    if (after_send && notice->kind != IM_NOTICE_STOP) {
        nothing(notice, "im_dropped_other"); /* the same message comes as Bot.OnC2CMessage */
        return;
    }
    if (*key)
        snprintf(notice->once, sizeof notice->once, "c %.120s %.120s", notice->user, key);
    else
        snprintf(notice->once, sizeof notice->once, "c %.120s %" PRId64 "_%" PRId64 "_%" PRId64, notice->user,
                 umbel_json_member_integer(reading->body, "MsgSeq", 0), umbel_json_member_integer(reading->body, "MsgRandom", 0),
                 umbel_json_member_integer(reading->body, "MsgTime", 0));
}

static void read_group(struct reading *reading)
{
    struct im_notice *notice = reading->notice;
    const struct umbel_json *robots = umbel_json_member(reading->body, "AtRobots_Account");

    if (!read_sender(reading))
        return;
    if (!copy_id(notice->group, umbel_json_member_text(reading->body, "GroupId", ""))) {
        nothing(notice, "im_dropped_unknown");
        return;
    }
    for (const struct umbel_json *robot = umbel_json_first(robots); robot && !*notice->bot; robot = umbel_json_next(robot)) {
        const char *account = umbel_json_text(robot, NULL);
        if (account && reading->known(reading->arg, account) && reading->index-- == 0)
            copy_id(notice->bot, account);
    }
    if (!*notice->bot) {
        nothing(notice, "im_dropped_unknown");
        return;
    }
    read_elements(reading);
    if (notice->kind == IM_NOTICE_QUESTION) {
        strip_mention(&notice->text, notice->bot);
        if (!notice->text.size)
            nothing(notice, "im_dropped_empty");
    }
    snprintf(notice->once, sizeof notice->once, "g %.100s %.100s %" PRId64, notice->group, notice->bot,
             umbel_json_member_integer(reading->body, "MsgSeq", 0));
}

void im_notice_read(const char *command, const char *body, size_t size, bool (*known)(void *arg, const char *account), void *arg,
                    unsigned index, struct im_notice *ret_notice)
{
    char why[160];
    struct umbel_json *value = umbel_json_parse(body, size, why, sizeof why);
    struct reading reading = {value, known, arg, index, ret_notice};

    *ret_notice = (struct im_notice){.kind = IM_NOTICE_NOTHING, .why = "im_dropped_unknown", .text = {.limit = IM_BODY_MAX}};
    command = umbel_json_member_text(value, "CallbackCommand", command ? command : "");
    if (umbel_json_type(value) != UMBEL_JSON_OBJECT)
        nothing(ret_notice, "im_dropped_malformed");
    else if (strcmp(command, "Bot.OnC2CMessage") == 0)
        read_private(&reading, false);
    else if (strcmp(command, "C2C.CallbackAfterSendMsg") == 0)
        read_private(&reading, true);
    else if (strcmp(command, "Bot.OnGroupMessage") == 0)
        read_group(&reading);
    else
        nothing(ret_notice, "im_dropped_other");
    if (ret_notice->text.failed)
        nothing(ret_notice, "im_dropped_malformed");
    umbel_json_free(value);
}

void im_notice_free(struct im_notice *notice)
{
    umbel_out_free(&notice->text);
}
