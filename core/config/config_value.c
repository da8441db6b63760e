#include "core/config/config_value.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/number.h"
#include "core/config/config_spell.h"

#define INTEGER_LIMIT ((int64_t)1 << 53) /* what JSON carries exactly on the way to the host */

/* A number that would have been right: the default, else the bound that is nearer. */
static int64_t advise_integer(const struct config_rule *rule, bool low, int64_t min, int64_t max)
{
    uint64_t otherwise;

    if (rule->otherwise && number_parse_u64(rule->otherwise, strlen(rule->otherwise), &otherwise) && otherwise <= INT64_MAX)
        return (int64_t)otherwise;
    return low ? min : max;
}

int config_value_integer(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                         int64_t *ret_value)
{
    bool minus = text[0] == '-', any = rule->min == 0 && rule->max == 0;
    int64_t min = any ? -INTEGER_LIMIT : rule->min, max = any ? INTEGER_LIMIT : rule->max, value;
    uint64_t digits = 0;
    size_t size = strlen(text + minus);
    bool number = size > 0 && strspn(text + minus, "0123456789") == size;
    bool fits = number && number_parse_u64(text + minus, size, &digits) && digits <= (uint64_t)INTEGER_LIMIT;

    value = minus ? -(int64_t)digits : (int64_t)digits;
    if (!number)
        return config_fail(load->why, at, "%s = %s is not a whole number, expected %lld to %lld%s%s, write %s = %lld", rule->name,
                           config_show(text).text, (long long)min, (long long)max, rule->unit && rule->unit[0] ? " " : "",
                           rule->unit ? rule->unit : "", rule->name, (long long)advise_integer(rule, true, any ? 0 : min, max));
    if (!fits || value < min || value > max)
        return config_fail(load->why, at, "%s = %s is out of range, expected %lld to %lld%s%s, write %s = %lld", rule->name,
                           config_show(text).text, (long long)min, (long long)max, rule->unit && rule->unit[0] ? " " : "",
                           rule->unit ? rule->unit : "", rule->name,
                           (long long)advise_integer(rule, minus || value < min, min, max));
    if (rule->kind == CONFIG_POWER && (value & (value - 1)) != 0) {
        int64_t above = (int64_t)number_power_of_two((uint64_t)value);
        return config_fail(load->why, at,
                           "%s = %lld is not a power of two, expected 64, 128, 256 and so on up to %lld, use %lld or %lld",
                           rule->name, (long long)value, (long long)max, (long long)(above / 2), (long long)above);
    }
    *ret_value = value;
    return 0;
}

int config_value_bool(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                      bool *ret_value)
{
    static const char *const words[] = {"false", "true", "off", "on", "no", "yes"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *ret_value = i % 2;
        return 0;
    }
    return config_fail(load->why, at, "%s = %s is neither yes nor no, expected true or false (on, off, yes, no), write %s = true",
                       rule->name, config_show(text).text, rule->name);
}

/* "[no-]word" may be written with and without no-: becomes the one of the two that text can mean. */
static char *with_or_without_no(char *word, const char *text)
{
    if (strncmp(word, "[no-]", 5) != 0)
        return word;
    return strncmp(text, "no-", 3) == 0 ? memcpy(word + 2, "no-", 3) : word + 5;
}

int config_value_choice(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                        uint32_t *ret_index)
{
    char words[1024];
    struct config_spell spell;
    uint32_t index = 0;

    config_spell_begin(&spell, text);
    snprintf(words, sizeof words, "%s", rule->choices);
    for (char *rest = words, *word; (word = strsep(&rest, "|")); index++) {
        word = with_or_without_no(word, text);
        if (word[0] && strcmp(word, text) == 0) {
            *ret_index = index;
            return 0;
        }
        if (word[0])
            config_spell_offer(&spell, word);
    }
    if (!spell.used)
        return config_fail(load->why, at, "%s: unknown word %s, expected an empty list, take it out", rule->name,
                           config_show(text).text);
    return config_fail(load->why, at, "%s = %s is unknown%s, expected one of %s, write one of these", rule->name,
                       config_show(text).text, config_spell_hint(&spell).text, spell.all);
}

/* [::1]:80 or name:80; the port may be missing. */
static bool is_authority(const char *text, size_t size)
{
    const char *colon, *end = text + size;
    uint64_t port = 1;

    if (size && text[0] == '[') {
        const char *close = memchr(text, ']', size);
        if (!close || close == text + 1 || (close + 1 != end && close[1] != ':'))
            return false;
        colon = close + 1 != end ? close + 1 : NULL;
    } else {
        colon = memchr(text, ':', size);
        if (size == 0 || colon == text || memchr(text, '@', size))
            return false;
    }
    if (colon && (!number_parse_u64(colon + 1, (size_t)(end - colon - 1), &port) || port < 1 || port > 65535))
        return false;
    return true;
}

int config_value_url(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text)
{
    const char *rest = strncmp(text, "http://", 7) == 0 ? text + 7 : strncmp(text, "https://", 8) == 0 ? text + 8 : NULL;
    bool proxy = rule->kind == CONFIG_PROXY;
    const char *fault = NULL, *at_sign = proxy && rest ? memchr(rest, '@', strcspn(rest, "/?#")) : NULL;

    if (text[0] == '\0' || (proxy && strcmp(text, "env") == 0))
        return 0;
    if (!rest || (proxy && text[4] == 's'))
        fault = proxy ? "does not begin with http://" : "begins with neither http:// nor https://";
    else if (at_sign ? !is_authority(at_sign + 1, strcspn(at_sign + 1, "/?#")) : !is_authority(rest, strcspn(rest, "/?#")))
        fault = "has no proper host or port";
    else if (strpbrk(rest, "?# \t\r\n\"<>\\"))
        fault = "has a ?, # or blank in it";
    if (!fault)
        return 0;
    return config_fail(load->why, at, "%s %s %s, expected http://HOST:PORT%s, write for example %s = \"%s\"", rule->name,
                       rest && strchr(text, '@') ? "(not shown: it has a password in it)" : config_show(text).text, fault,
                       proxy ? " or env" : "/PATH or https://HOST/PATH", rule->name,
                       proxy ? "http://10.0.0.1:3128" : "https://api.example.com/v1");
}

int config_value_path(struct config_load *load, const struct config_node *at, const char *text, char **ret_path)
{
    char joined[PATH_MAX];
    int n;

    if (text[0] == '\0' || text[0] == '/')
        n = snprintf(joined, sizeof joined, "%s", text);
    else
        n = snprintf(joined, sizeof joined, "%s/%s", at->file->directory, text);
    if (n < 0 || (size_t)n >= sizeof joined)
        return config_fail(load->why, at, "the path of %s is too long, expected at most %d bytes, write a shorter one", at->name,
                           PATH_MAX - 1);
    return (*ret_path = strdup(joined)) ? 0 : config_no_memory(load->why);
}
