/* im-custom-message/im_body.c - see im_body.h.  Member order as the service's own examples have it. */
#include "im_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <umbel/json.h>

#define LIFE_S 604800u /* a message waits so long for a user who is away: the service's most */

const char *im_body_command(const struct im_answer *answer, const struct im_step *step)
{
    switch (step->call) {
    case IM_CALL_PIECE:
        return "openim_robot_http_svc/send_stream_msg";
    case IM_CALL_CHUNK:
        return answer->group ? "stream_msg/send_group_stream_msg" : "stream_msg/send_c2c_stream_msg";
    case IM_CALL_MODIFY:
        return answer->group ? "openim/modify_group_msg" : "openim/modify_c2c_msg";
    default:
        return answer->group ? "group_open_http_svc/send_group_msg" : "openim/sendmsg";
    }
}

static void put_string(struct umbel_out *out, const char *name, const char *value)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, value, strlen(value));
}

/* One custom element; data is the JSON that its Data string holds. */
static void put_custom(struct umbel_out *out, const struct umbel_out *data)
{
    umbel_out_text(out, "[{\"MsgType\":\"TIMCustomElem\",\"MsgContent\":{\"Data\":");
    umbel_out_json(out, data->size ? data->data : "", data->size);
    umbel_out_text(out, ",\"Desc\":\"\",\"Ext\":\"\"}}]");
}

static void put_snapshot(struct umbel_out *out, const struct umbel_out *content, bool final)
{
    struct umbel_out data = {0};

    umbel_out_text(&data, "{\"chatbotPlugin\":2,\"src\":2,\"chunks\":[");
    umbel_out_json(&data, content->size ? content->data : "", content->size);
    umbel_out_printf(&data, "],\"isFinished\":%d}", final);
    put_custom(out, &data);
    if (data.failed)
        out->failed = data.failed;
    umbel_out_free(&data);
}

static void put_error(struct umbel_out *out, const struct umbel_out *content)
{
    struct umbel_out data = {0};

    umbel_out_text(&data, "{\"chatbotPlugin\":2,\"src\":23,\"errorInfo\":");
    umbel_out_json(&data, content->size ? content->data : "", content->size);
    umbel_out_text(&data, "}");
    put_custom(out, &data);
    if (data.failed)
        out->failed = data.failed;
    umbel_out_free(&data);
}

static void put_chunk(struct umbel_out *out, const struct im_answer *answer, const struct im_step *step, const struct umbel_out *content)
{
    umbel_out_text(out, "[{\"MsgType\":\"TIMStreamElem\",\"MsgContent\":{");
    if (answer->exists) {
        put_string(out, "StreamMsgID", answer->key);
        umbel_out_text(out, ",");
    }
    umbel_out_printf(out, "\"CompatibleText\":\"[answer]\",\"Chunks\":[{\"EventType\":\"data\",\"Index\":%" PRIu32 ",\"Markdown\":",
                     answer->pieces + 1);
    umbel_out_json(out, content->size ? content->data : "", content->size);
    umbel_out_printf(out, ",\"IsLast\":%s}]}}]", step->final ? "true" : "false");
}

/* The MsgBody of every call but PIECE, or the Chunk of that. */
static void put_body(struct umbel_out *out, const struct im_answer *answer, const struct im_step *step)
{
    struct umbel_out content = {0};

    im_answer_content(answer, step, &content);
    switch (step->call) {
    case IM_CALL_PIECE:
        umbel_out_json(out, content.size ? content.data : "", content.size);
        break;
    case IM_CALL_CHUNK:
        put_chunk(out, answer, step, &content);
        break;
    case IM_CALL_TEXT:
        umbel_out_text(out, "[{\"MsgType\":\"TIMTextElem\",\"MsgContent\":{\"Text\":");
        umbel_out_json(out, content.size ? content.data : "", content.size);
        umbel_out_text(out, "}}]");
        break;
    case IM_CALL_ERROR:
        put_error(out, &content);
        break;
    default:
        put_snapshot(out, &content, step->final);
        break;
    }
    if (content.failed)
        out->failed = content.failed;
    umbel_out_free(&content);
}

size_t im_body_size(const struct im_answer *answer, const struct im_step *step)
{
    struct umbel_out out = {0};

    put_body(&out, answer, step);
    size_t size = out.size;
    umbel_out_free(&out);
    return size;
}

static void put_route(struct umbel_out *out, const struct im_answer *answer, const struct im_peer *peer)
{
    if (answer->group) {
        put_string(out, "GroupId", peer->group);
        umbel_out_text(out, ",");
        put_string(out, "From_Account", peer->bot);
    } else {
        put_string(out, "From_Account", peer->bot);
        umbel_out_text(out, ",");
        put_string(out, "To_Account", peer->user);
    }
}

static void put_piece(struct umbel_out *out, const struct im_answer *answer, const struct im_step *step)
{
    umbel_out_text(out, ",\"Chunk\":");
    put_body(out, answer, step);
    if (answer->exists) {
        umbel_out_text(out, ",");
        put_string(out, "MsgKey", answer->key);
    }
    if (step->final)
        umbel_out_text(out, ",\"Finish\":1");
}

static void put_numbers(struct umbel_out *out, const struct im_answer *answer, const struct im_step *step)
{
    if (answer->group && step->call != IM_CALL_CHUNK)
        umbel_out_printf(out, ",\"Random\":%" PRIu32, answer->random);
    else
        umbel_out_printf(out, ",\"MsgSeq\":%" PRIu32 ",\"MsgRandom\":%" PRIu32, answer->seq, answer->random);
    if (!answer->group && step->call != IM_CALL_CHUNK)
        umbel_out_printf(out, ",\"MsgLifeTime\":%u", LIFE_S);
}

void im_body_put(const struct im_answer *answer, const struct im_step *step, const struct im_peer *peer, struct umbel_out *out)
{
    bool makes = step->call != IM_CALL_MODIFY && step->call != IM_CALL_PIECE && !(step->call == IM_CALL_CHUNK && answer->exists);

    umbel_out_text(out, "{");
    if (makes && !answer->group)
        umbel_out_text(out, "\"SyncOtherMachine\":2,");
    put_route(out, answer, peer);
    if (step->call == IM_CALL_PIECE) {
        put_piece(out, answer, step);
    } else {
        if (makes)
            put_numbers(out, answer, step);
        else if (step->call == IM_CALL_MODIFY && answer->group)
            umbel_out_printf(out, ",\"MsgSeq\":%s", answer->key); /* a number: it was read as one */
        else if (step->call == IM_CALL_MODIFY) {
            umbel_out_text(out, ",");
            put_string(out, "MsgKey", answer->key);
        }
        umbel_out_text(out, ",\"MsgBody\":");
        put_body(out, answer, step);
    }
    umbel_out_text(out, "}");
}

/* The key under which a message that step has made is changed later. */
static void read_key(const struct umbel_json *reply, const struct im_answer *answer, const struct im_step *step, char ret_key[IM_KEY_MAX])
{
    const char *key = "";
    char number[24];

    if (step->call == IM_CALL_CHUNK) {
        key = umbel_json_member_text(reply, "StreamMsgID", "");
    } else if (answer->group) {
        int64_t seq = umbel_json_member_integer(reply, "MsgSeq", -1);
        snprintf(number, sizeof number, "%" PRId64, seq);
        key = seq >= 0 ? number : "";
    } else {
        key = umbel_json_member_text(reply, "MsgKey", "");
    }
    snprintf(ret_key, IM_KEY_MAX, "%s", strlen(key) < IM_KEY_MAX ? key : "");
}

int64_t im_reply_read(const char *body, size_t size, const struct im_answer *answer, const struct im_step *step, char ret_key[IM_KEY_MAX],
                      char *ret_info, size_t info_room)
{
    char why[160];
    struct umbel_json *reply = umbel_json_parse(body, size, why, sizeof why);
    int64_t code = umbel_json_member_integer(reply, "ErrorCode", -1);

    ret_key[0] = 0;
    snprintf(ret_info, info_room, "%s", umbel_json_member_text(reply, "ErrorInfo", ""));
    if (code < 0 || (code == 0 && strcmp(umbel_json_member_text(reply, "ActionStatus", "OK"), "OK") != 0))
        code = -1; /* the service knows no negative codes */
    if (code == 0)
        read_key(reply, answer, step, ret_key);
    umbel_json_free(reply);
    return code;
}
