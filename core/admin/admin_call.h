/* admin/admin_call.h - one request line: {"command":"stream cancel","arguments":["chatcmpl-...",{"option":"value"}]}
 * arguments (may be missing): the words that are no options, then, if there are options, one object with them.  Pure. */
#ifndef ADMIN_CALL_H
#define ADMIN_CALL_H

#include <umbel/json.h>
#include <umbel/out.h>

#include "core/admin/admin_command.h"
#include "core/base/why.h"

struct admin_call {
    struct umbel_json *json; /* owns the rest; free with umbel_json_free */
    const struct admin_command *command;
    const struct umbel_json *arguments; /* an array, or NULL */
};

/* admin_call_read - reads and checks one request against the table of commands: known words, an OPERATE command, as many arguments as it
 * takes, its options only, all of them strings.  0, -EBADMSG (not a request), -ENOENT (no such command), -EINVAL (its arguments do
 * not fit); why says it, ret_hint (at least WHY_MAX bytes, "" if none) what to write instead. */
int admin_call_read(const char *line, size_t size, struct admin_call *ret_call, struct why *why, char *ret_hint);

/* admin_call_write - appends the request line with its end; option_count names and values. */
void admin_call_write(struct umbel_out *out, const char *command, char *const *arguments, size_t argument_count,
                      const char *const *option_names, const char *const *option_values, size_t option_count);

/* admin_argument - the index-th word, or NULL if there are fewer.  admin_option_value - the option's value, or NULL if it was not given. */
const char *admin_argument(const struct umbel_json *arguments, size_t index);
const char *admin_option_value(const struct umbel_json *arguments, const char *name);

#endif
