#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "tools/man/man.h"

#define INPUT_MAX ((size_t)4 << 20)
#define PLUGINS_MAX 32

static char *read_or_die(const char *path)
{
    char *data;
    size_t size;
    int r = fd_read_file(path, INPUT_MAX, &data, &size);

    if (r == 0)
        return data;
    fprintf(stderr, "umbel-man: %s: %s\n", path, strerror(-r));
    exit(1);
}

static struct umbel_json *parse_or_die(const char *path)
{
    char *data = read_or_die(path), why[200];
    struct umbel_json *json = umbel_json_parse(data, strlen(data), why, sizeof why);

    free(data);
    if (json)
        return json;
    fprintf(stderr, "umbel-man: %s: %s\n", path, why);
    exit(1);
}

int main(int argc, char **argv)
{
    const char *page = argc > 1 ? argv[1] : "";
    struct umbel_json *plugins[PLUGINS_MAX];
    struct umbel_json *options = NULL;
    struct umbel_out out = {0};
    char *text = NULL;
    size_t count = 0;

    for (int i = 3; i < argc && count < PLUGINS_MAX; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s.json", argv[i]);
        plugins[count++] = parse_or_die(path);
    }
    if (strcmp(page, "umbelctl") == 0)
        man_umbelctl(&out);
    else if (strcmp(page, "umbeld") == 0 && argc == 3)
        man_umbeld(&out, text = read_or_die(argv[2]));
    else if (strcmp(page, "umbel.conf") == 0 && argc > 3)
        man_umbel_conf(&out, options = parse_or_die(argv[2]), plugins, count);
    else if (strcmp(page, "umbel-plugin") == 0 && argc > 3)
        man_umbel_plugin(&out, text = read_or_die(argv[2]), plugins, count);
    else
        fprintf(stderr, "usage: umbel-man umbelctl | umbeld HELP | umbel.conf OPTIONS PLUGIN... | umbel-plugin TABLE PLUGIN...\n");
    int status = out.size == 0 || out.failed || fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0;
    umbel_out_free(&out);
    umbel_json_free(options);
    free(text);
    for (size_t i = 0; i < count; i++)
        umbel_json_free(plugins[i]);
    return status;
}
