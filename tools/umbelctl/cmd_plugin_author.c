/* plugin new, plugin check: for authors of plugins; neither needs a daemon. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <umbel/out.h>

#include "tools/umbelctl/ctl.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/templates.h"

#define NAME_MAX_SIZE 48u /* as the host's check of a manifest */

struct skeleton {
    const char *name, *carrier;
    char folder[PATH_MAX - 256];
    struct umbel_out files; /* --json: the elements of an array */
};

static bool is_name(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size <= NAME_MAX_SIZE && name[0] >= 'a' && name[0] <= 'z' && name[size - 1] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size;
}

/* The template with @NAME@, @IDENT@ and @CARRIER@ replaced. */
static void fill(const struct ctl_template *template, const struct skeleton *skeleton, struct umbel_out *out)
{
    const char *at = (const char *)template->bytes, *end = at + template->size;

    while (at < end) {
        size_t left = (size_t)(end - at);
        if (left >= 6 && memcmp(at, "@NAME@", 6) == 0) {
            umbel_out_text(out, skeleton->name);
            at += 6;
        } else if (left >= 7 && memcmp(at, "@IDENT@", 7) == 0) {
            for (const char *c = skeleton->name; *c; c++)
                umbel_out_put(out, *c == '-' ? "_" : c, 1);
            at += 7;
        } else if (left >= 9 && memcmp(at, "@CARRIER@", 9) == 0) {
            umbel_out_text(out, skeleton->carrier);
            at += 9;
        } else {
            umbel_out_put(out, at++, 1);
        }
    }
}

static int write_file(struct skeleton *skeleton, const struct ctl_template *template, const char *shown)
{
    char path[PATH_MAX];
    struct umbel_out out = {0};

    fill(template, skeleton, &out);
    snprintf(path, sizeof path, "%s/%s", skeleton->folder, shown);
    FILE *file = out.failed ? NULL : fopen(path, "wx");
    size_t wrote = file ? fwrite(out.data, 1, out.size, file) : 0;
    int failed = !file || fclose(file) != 0 || wrote != out.size;
    int problem = errno;
    umbel_out_free(&out);
    if (failed)
        return ctl_complain(CTL_FAILED, NULL, "cannot write %s: %s", path, strerror(problem));
    umbel_out_text(&skeleton->files, skeleton->files.size ? "," : "");
    umbel_out_json(&skeleton->files, shown, strlen(shown));
    return CTL_OK;
}

/* What a template is called in the new folder, or false: it belongs to another carrier. */
static bool name_file(const struct skeleton *skeleton, const char *template, char *ret_name, size_t size)
{
    static const char *const carriers[] = {"ws.", "http.", "tcp."};
    size_t length = strlen(skeleton->carrier);

    if (strncmp(template, skeleton->carrier, length) == 0 && template[length] == '.') {
        snprintf(ret_name, size, "%s%s", skeleton->name, template + length);
        return true;
    }
    for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++)
        if (strncmp(template, carriers[i], strlen(carriers[i])) == 0)
            return false;
    snprintf(ret_name, size, "%s%s", strcmp(template, "gitignore") == 0 ? "." : "", template);
    return true;
}

static int tell(const struct ctl *ctl, struct skeleton *skeleton)
{
    struct umbel_out out = {0};

    if (!ctl->json) {
        printf("wrote %s; to build and test it:\n  cd %s && cmake -B build && cmake --build build && ctest --test-dir build\n", skeleton->folder,
               skeleton->folder);
        return CTL_OK;
    }
    umbel_out_text(&out, "{\"folder\":");
    umbel_out_json(&out, skeleton->folder, strlen(skeleton->folder));
    umbel_out_text(&out, ",\"files\":[");
    umbel_out_put(&out, skeleton->files.data, skeleton->files.size);
    umbel_out_text(&out, "]}");
    return print_document(&out);
}

int ctl_plugin_new(const struct ctl *ctl)
{
    const char *dir = ctl_option(ctl, "dir"), *carrier = ctl_option(ctl, "carrier");
    struct skeleton skeleton = {.name = ctl->words[0], .carrier = carrier};
    char shown[128];
    int r = CTL_OK;

    if (!is_name(skeleton.name))
        return ctl_complain(CTL_USAGE, "small letters, digits and -, a letter first, at most 48", "%s cannot be a plugin's name", skeleton.name);
    if (!carrier || (strcmp(carrier, "ws") != 0 && strcmp(carrier, "http") != 0 && strcmp(carrier, "tcp") != 0))
        return ctl_complain(CTL_USAGE, "ws: WebSockets, http: HTTP/1.1, tcp: lines on plain TCP", "--carrier must be ws, http or tcp");
    if ((size_t)snprintf(skeleton.folder, sizeof skeleton.folder, "%s%s%s", dir ? dir : "", dir ? "/" : "", skeleton.name) >= sizeof skeleton.folder)
        return ctl_complain(CTL_USAGE, NULL, "the path is too long");
    if (mkdir(skeleton.folder, 0777) == -1)
        return ctl_complain(CTL_FAILED, errno == EEXIST ? "choose another name, or --dir" : NULL, "cannot make %s: %s", skeleton.folder,
                            strerror(errno));
    for (const struct ctl_template *template = ctl_templates; template->name && r == CTL_OK; template++)
        if (name_file(&skeleton, template->name, shown, sizeof shown))
            r = write_file(&skeleton, template, shown);
    if (r == CTL_OK)
        r = tell(ctl, &skeleton);
    umbel_out_free(&skeleton.files);
    return r;
}

int ctl_plugin_check(const struct ctl *ctl)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "/umbel-plugin-check");
    char *arguments[5] = {path, ctl->words[0]};
    size_t count = 2;

    if (n <= 0)
        return ctl_complain(CTL_FAILED, NULL, "cannot tell where umbelctl is: %s", strerror(errno));
    path[n] = '\0';
    memcpy(strrchr(path, '/'), "/umbel-plugin-check", sizeof "/umbel-plugin-check");
    if (ctl->word_count > 1)
        arguments[count++] = ctl->words[1];
    if (ctl->json)
        arguments[count++] = "--json";
    execv(path, arguments);
    return ctl_complain(CTL_FAILED, NULL, "cannot run %s: %s", path, strerror(errno));
}
