#include "core/host/plugin_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define OPTIONS_MAX 256u
#define OPTION_DEPTH_MAX 3u
/* Members up to and including close: what ABI 1.0 has. */
#define SIZE_1_0 (offsetof(struct umbel_transport, close) + sizeof(void (*)(void)))

_Static_assert(offsetof(struct umbel_transport, name) == 8, "1.0 layout is frozen (LP64)");
_Static_assert(offsetof(struct umbel_transport, open) == 56, "1.0 layout is frozen (LP64)");
_Static_assert(SIZE_1_0 == 88, "1.0 layout is frozen (LP64)");

static bool is_name(const char *text, const char *more)
{
    size_t size = text ? strlen(text) : 0;

    if (size == 0 || size > 48)
        return false;
    for (; *text; text++)
        if (!(*text >= 'a' && *text <= 'z') && !(*text >= '0' && *text <= '9') && !strchr(more, *text))
            return false;
    return true;
}

static int check_option(const struct umbel_option *option, uint32_t depth, struct why *why);

static int check_options(const struct umbel_option *options, uint64_t count, size_t stride, uint32_t depth, struct why *why)
{
    if (count > OPTIONS_MAX)
        return why_set(why, -EPROTO, "%llu options, at most %u are possible", (unsigned long long)count, OPTIONS_MAX);
    if (count && !options)
        return why_set(why, -EPROTO, "option_count is %llu but options is NULL", (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        const struct umbel_option *option = (const void *)((const char *)options + i * stride);
        int r = check_option(option, depth, why);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_option(const struct umbel_option *option, uint32_t depth, struct why *why)
{
    if (!is_name(option->name, "_"))
        return why_set(why, -EPROTO, "an option's name must be [a-z0-9_]+");
    if (option->type < UMBEL_OPTION_TEXT || option->type > UMBEL_OPTION_SECTION)
        return why_set(why, -EPROTO, "option %s has the unknown type %u", option->name, option->type);
    if (!option->help || !*option->help)
        return why_set(why, -EPROTO, "option %s has no help line", option->name);
    if (option->min > option->max)
        return why_set(why, -EPROTO, "option %s: min is above max", option->name);
    if (option->type != UMBEL_OPTION_SECTION)
        return 0;
    if (depth == OPTION_DEPTH_MAX)
        return why_set(why, -EPROTO, "option %s: sections are nested too deep", option->name);
    return check_options(option->section, option->section_count, sizeof *option, depth + 1, why);
}

int plugin_check(const struct umbel_transport *theirs, struct umbel_transport *ret_transport, struct why *why)
{
    struct umbel_transport copy = {0};

    if (theirs->struct_size < SIZE_1_0)
        return why_set(why, -EPROTO, "its table has %u bytes, ABI 1.0 needs %zu", theirs->struct_size, SIZE_1_0);
    memcpy(&copy, theirs, theirs->struct_size < sizeof copy ? theirs->struct_size : sizeof copy);
    if (copy.abi_major != UMBEL_ABI_MAJOR)
        return why_set(why, -EPROTO, "built for ABI %u.%u, this host speaks %d.x: rebuild it", copy.abi_major, copy.abi_minor,
                       UMBEL_ABI_MAJOR);
    if (copy.abi_minor > UMBEL_ABI_MINOR)
        return why_set(why, -EPROTO, "built for ABI %u.%u, this host speaks %d.%d: upgrade umbel or build against its headers",
                       copy.abi_major, copy.abi_minor, UMBEL_ABI_MAJOR, UMBEL_ABI_MINOR);
    if (!is_name(copy.name, "-"))
        return why_set(why, -EPROTO, "its name must be [a-z0-9-]+ and at most 48 long");
    if (!copy.version || !copy.summary)
        return why_set(why, -EPROTO, "%s: version and summary are required", copy.name);
    if (copy.option_count && copy.option_size != sizeof(struct umbel_option))
        return why_set(why, -EPROTO, "%s: its options have %u bytes each, this host knows %zu", copy.name, copy.option_size,
                       sizeof(struct umbel_option));
    if (!copy.open || !copy.drain || !copy.close)
        return why_set(why, -EPROTO, "%s: open, drain and close are required", copy.name);
    int r = check_options(copy.options, copy.option_count, copy.option_size, 0, why);
    if (r < 0)
        return r;
    *ret_transport = copy;
    return 0;
}
