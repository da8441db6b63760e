/* upstream/upstream_message.h - a question in OpenAI's form taken apart, for the dialects that write it differently.  Internal to the module,
 * pure.  Everything handed out is borrowed from the struct upstream_chat. */
#ifndef UPSTREAM_MESSAGE_H
#define UPSTREAM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/span.h"
#include "core/base/why.h"
#include "core/upstream/upstream.h"

struct upstream_chat {
    struct umbel_json *messages;   /* an array of objects with known roles */
    struct umbel_json *parameters; /* an object, or NULL */
};

enum upstream_role { UPSTREAM_SYSTEM, UPSTREAM_USER, UPSTREAM_ASSISTANT, UPSTREAM_TOOL };

/* upstream_chat_read - 0 and *ret, or -EINVAL with words.  Free it with upstream_chat_free. */
int upstream_chat_read(const struct upstream_question *question, struct upstream_chat *ret, struct why *why);
void upstream_chat_free(struct upstream_chat *chat);

/* upstream_role_of - of a message that upstream_chat_read has seen.  developer counts as system, function as tool. */
enum upstream_role upstream_role_of(const struct umbel_json *message);

/* One part of a message's content. */
struct upstream_part {
    struct span text;       /* data NULL: an image */
    struct span url;        /* of an image that the service is to fetch; data NULL: its bytes are here */
    struct span type, data; /* "image/png", base64 */
};
typedef int upstream_part_taker(void *owner, const struct upstream_part *part, struct why *why);

/* upstream_each_part - gives each part of content (a string, an array of parts, or nothing) to take; empty texts are left out.  0, what take
 * has returned, or -EINVAL with words for parts of other kinds. */
int upstream_each_part(const struct umbel_json *content, upstream_part_taker *take, void *owner, struct why *why);

/* upstream_put_text - appends the texts of content as one, bare.  -EINVAL with words if there is anything but text. */
int upstream_put_text(struct umbel_out *out, const struct umbel_json *content, struct why *why);

/* upstream_put_system - appends all system messages as one text, bare, a blank line between them; nothing if there are none. */
int upstream_put_system(struct umbel_out *out, const struct upstream_chat *chat, struct why *why);

/* upstream_put_arguments - appends the arguments of one element of tool_calls as a JSON object; "" counts as {}.  -EINVAL with words. */
int upstream_put_arguments(struct umbel_out *out, const struct umbel_json *call, struct why *why);

/* upstream_name_of_call - the function that the tool message answers; data NULL if that cannot be known. */
struct span upstream_name_of_call(const struct upstream_chat *chat, const struct umbel_json *tool_message);

/* upstream_text_member - the string member of object; data NULL if there is none. */
struct span upstream_text_member(const struct umbel_json *object, const char *name);

/* ---- writing ---- */

/* A JSON object or array being written: puts the commas. */
struct upstream_list {
    struct umbel_out *out;
    bool begun;
};

/* upstream_next - a comma unless it is the first. */
void upstream_next(struct upstream_list *list);
/* upstream_member - begins a member; its value follows. */
void upstream_member(struct upstream_list *object, const char *name);
/* upstream_member_text - a member that is a string. */
void upstream_member_text(struct upstream_list *object, const char *name, struct span text);
/* upstream_member_json - a member with this value; nothing if value is absent or null. */
void upstream_member_json(struct upstream_list *object, const char *name, const struct umbel_json *value);

/* A parameter and its name in the dialect. */
struct upstream_rename {
    const char *ours, *theirs;
};
/* upstream_members_renamed - the parameters of the table that were given, as they are. */
void upstream_members_renamed(struct upstream_list *object, const struct umbel_json *parameters, const struct upstream_rename *table, size_t count);

/* upstream_max_tokens - the limit that was given, by its new name or its old one, or NULL. */
const struct umbel_json *upstream_max_tokens(const struct umbel_json *parameters);
/* upstream_member_stop - stop, always as an array; nothing if there is none. */
void upstream_member_stop(struct upstream_list *object, const char *name, const struct umbel_json *parameters);

/* upstream_first_function, upstream_next_function - walk over the functions among the tools: *tool is moved on; NULL at the end. */
const struct umbel_json *upstream_first_function(const struct umbel_json *parameters, const struct umbel_json **ret_tool);
const struct umbel_json *upstream_next_function(const struct umbel_json **tool);

#endif
