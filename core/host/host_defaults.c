/* host/host_defaults.c - a plugin that was upgraded may know options which the core did not: it checked the configuration with the older
 * one.  They have their default until the configuration is loaded again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/number.h"
#include "core/host/hosting.h"

static int64_t integer_of(const struct umbel_option *option)
{
    const char *text = option->otherwise ? option->otherwise : "";
    uint64_t digits = 0;
    bool minus = *text == '-';

    if (option->type == UMBEL_OPTION_BOOL)
        return strcmp(text, "true") == 0 || strcmp(text, "on") == 0 || strcmp(text, "yes") == 0;
    number_parse_u64(text + minus, strlen(text + minus), &digits);
    return minus ? -(int64_t)digits : (int64_t)digits;
}

static int add(const struct umbel_option *option, struct config_section *section)
{
    struct config_value value = {.name = strdup(option->name), .type = option->type};
    bool text = option->type == UMBEL_OPTION_TEXT || option->type == UMBEL_OPTION_SECRET;
    struct config_value *values = realloc(section->values, (section->value_count + 1) * sizeof *values);

    if (values)
        section->values = values;
    if (text)
        value.text = strdup(option->otherwise ? option->otherwise : "");
    if (!values || !value.name || (text && !value.text)) {
        free(value.name);
        free(value.text);
        return -ENOMEM;
    }
    if (option->type == UMBEL_OPTION_INTEGER || option->type == UMBEL_OPTION_BOOL)
        value.integer = integer_of(option);
    values[section->value_count++] = value;
    return 0;
}

static int complete(const struct umbel_option *options, uint64_t count, struct config_section *section)
{
    int r = 0;

    for (uint64_t i = 0; i < count && r == 0; i++) {
        const struct umbel_option *option = &options[i];
        const struct config_value *value = config_section_find(section, option->name);
        if (!value && (option->flags & UMBEL_OPTION_REQUIRED)) {
            log_error("this plugin requires the option %s, which the running configuration does not have: write it and load the "
                      "configuration with the new plugin", option->name);
            return -EINVAL;
        }
        if (!value) {
            r = add(option, section);
            continue;
        }
        for (size_t k = 0; option->type == UMBEL_OPTION_SECTION && k < value->section_count && r == 0; k++)
            r = complete(option->section, option->section_count, &value->sections[k]);
    }
    return r;
}

int host_defaults_add(const struct umbel_transport *transport, struct config_section *section)
{
    return complete(transport->options, transport->option_count, section);
}
