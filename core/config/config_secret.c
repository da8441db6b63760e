/* Secrets: named in the file, read from the environment or a file of their own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "core/config/config_value.h"

/* A secret goes into header lines and JSON, so it must be one line of text. */
static int check_secret(struct config_load *load, const struct config_node *at, const char *name, const char *from,
                        const char *secret, size_t size)
{
    if (config_text_check(secret, size) == size && !memchr(secret, '\n', size) && !memchr(secret, '\r', size) &&
        !memchr(secret, '\t', size))
        return 0;
    return config_fail(load->why, at, "%s: %s holds more than one line of text, expected just the secret, write it alone there",
                       name, config_show(from).text);
}

static int read_env(struct config_load *load, const struct config_node *at, const char *name, const char *text, char **ret_secret,
                    bool *ret_unset)
{
    const char *value = getenv(text + strlen("env:"));
    int r;

    if (text[strlen("env:")] == '\0')
        return config_fail(load->why, at, "%s = env: names no variable, expected env:NAME, write for example env:UMBEL_KEY",
                           name);
    *ret_unset = !value || !value[0];
    if (value && (r = check_secret(load, at, name, text, value, strlen(value))) < 0)
        return r;
    return (*ret_secret = strdup(value ? value : "")) ? 0 : config_no_memory(load->why);
}

static int read_file(struct config_load *load, const struct config_node *at, const char *name, const char *text,
                     char **ret_secret)
{
    char *path = NULL, *data = NULL;
    struct stat st;
    size_t size = 0;
    int r;

    if (text[strlen("file:")] == '\0')
        return config_fail(load->why, at, "%s = file: names no file, expected file:PATH, write for example file:service.key",
                           name);
    if ((r = config_value_path(load, at, text + strlen("file:"), &path)) < 0)
        return r;
    if ((r = fd_read_file(path, CONFIG_SECRET_MAX, &data, &size)) < 0) {
        r = config_fail(load->why, at,
                        "%s: cannot read %s (%s), expected a readable file of at most 64 KiB, check its name and permissions",
                        name, path, strerror(-r));
        goto done;
    }
    if (size && data[size - 1] == '\n')
        data[--size] = '\0';
    if (size && data[size - 1] == '\r')
        data[--size] = '\0';
    if (size == 0)
        r = config_fail(load->why, at, "%s: %s is empty, expected the secret in it, write it there", name, path);
    else
        r = check_secret(load, at, name, text, data, size);
    if (r == 0 && stat(path, &st) == 0 && (st.st_mode & S_IROTH))
        config_load_warn(load, at, "%s: everyone on this machine can read %s, expected only the daemon to, run chmod o-r on it",
                         name, path);
    if (r == 0 && !(*ret_secret = strdup(data)))
        r = config_no_memory(load->why);
done:
    if (data)
        explicit_bzero(data, size);
    free(data);
    free(path);
    return r;
}

static int take_literal(struct config_load *load, const struct config_node *at, const char *text, char **ret_secret)
{
    if (at->file->world_readable && !load->warned_readable) {
        load->warned_readable = true;
        config_load_warn(load, at,
                         "everyone on this machine can read this file, and it holds client keys, expected only the daemon to, "
                         "run chmod o-r on it or write env:NAME or file:PATH");
    }
    return (*ret_secret = strdup(text)) ? 0 : config_no_memory(load->why);
}

int config_value_secret(struct config_load *load, const struct config_node *at, const struct config_rule *rule, const char *text,
                        bool literal, char **ret_secret, bool *ret_unset)
{
    int r;

    *ret_unset = false;
    if (strncmp(text, "env:", 4) == 0)
        return read_env(load, at, rule->name, text, ret_secret, ret_unset);
    if (strncmp(text, "file:", 5) == 0)
        return read_file(load, at, rule->name, text, ret_secret);
    if (text[0] == '\0') {
        *ret_unset = true;
        return (*ret_secret = strdup("")) ? 0 : config_no_memory(load->why);
    }
    if (!literal)
        return config_fail(load->why, at, "%s stands in the file itself, expected where to find it, use env:NAME or file:PATH",
                           rule->name);
    if ((r = check_secret(load, at, rule->name, "a key", text, strlen(text))) < 0)
        return r;
    return take_literal(load, at, text, ret_secret);
}
