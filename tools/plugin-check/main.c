/* umbel-plugin-check PLUGIN.so [CHECK-FILE] [--json] - the conformance suite for transport plugins.  umbelctl plugin check runs it.
 * Exit: 0 all good, 1 something failed, 2 usage. */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "tools/plugin-check/check_cases.h"

#define PLUGIN_MAX (256u << 20)
#define WORDS_MAX 4096u
#define AGAIN "UMBEL_PLUGIN_CHECK_AGAIN"

static const struct check checks[] = {
    {"manifest", "the table is one that umbel-host takes", case_manifest, 0},
    {"open", "opens and closes, again and again, and leaves nothing", case_open, 0},
    {"characters", "every character arrives whole and once, however the text is cut", case_characters, 1},
    {"terminal", "each verdict ends an answer exactly once", case_terminal, 1},
    {"errors", "each UMBEL_ERROR_* is told", case_errors, 1},
    {"bad key", "a client with an unknown key gets no answer", case_bad_key, 1},
    {"dialogues", "what the .check file expects of single messages", case_dialogues, 1},
    {"slow client", "a client that does not read costs little, and misses nothing", case_slow, 1},
    {"gone client", "a client that goes away is let go, and its answer goes on", case_gone, 1},
    {"drain", "begun answers end, idle clients go, drained() is said", case_drain, 1},
    {"close", "closes in the middle of everything", case_close, 1},
    {"random input", "survives random bytes", case_garbage, 1},
    {"huge input", "bounds what it keeps of one client's input", case_huge, 1},
    {"tiny input", "survives ten thousand tiny units", case_tiny, 1},
    {"leaks", "many clients leave nothing behind", case_leaks, 1},
};

struct report {
    bool json;
    struct umbel_out out;
    unsigned passed, failed, skipped;
};

static void put_member(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, "\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
}

static void tell(struct report *report, const struct check *check, enum check_result result, const char *words)
{
    static const char *const plain[] = {"ok", "FAIL", "skipped"};
    static const char *const formal[] = {"ok", "failed", "skipped"};
    size_t which = result == CHECK_OK ? 0 : result == CHECK_SKIPPED ? 2 : 1;

    report->passed += which == 0;
    report->failed += which == 1;
    report->skipped += which == 2;
    if (report->json) {
        umbel_out_text(&report->out, report->out.size ? ",{" : "{");
        put_member(&report->out, "name", check->name);
        umbel_out_text(&report->out, ",");
        put_member(&report->out, "expected", check->what);
        umbel_out_text(&report->out, ",");
        put_member(&report->out, "result", formal[which]);
        umbel_out_text(&report->out, ",");
        put_member(&report->out, "text", words);
        umbel_out_text(&report->out, "}");
        return;
    }
    printf("%-8s%-14s%s", plain[which], check->name, check->what);
    if (which != 1 && *words)
        printf(" (%s)", words);
    printf("\n");
    while (which == 1 && *words) { /* line by line, indented */
        size_t size = strcspn(words, "\n");
        printf("          %.*s\n", (int)size, words);
        words += size + (words[size] == '\n');
    }
    fflush(stdout);
}

static int finish(struct report *report, const char *path)
{
    if (report->json) {
        struct umbel_out out = {0};
        umbel_out_text(&out, "{");
        put_member(&out, "plugin", path);
        umbel_out_printf(&out, ",\"passed\":%u,\"failed\":%u,\"skipped\":%u,\"checks\":[", report->passed, report->failed, report->skipped);
        umbel_out_put(&out, report->out.data, report->out.size);
        umbel_out_text(&out, "]}\n");
        fwrite(out.data, 1, out.size, stdout);
        umbel_out_free(&out);
    } else {
        printf("%u passed, %u failed, %u skipped\n", report->passed, report->failed, report->skipped);
    }
    umbel_out_free(&report->out);
    return report->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The name of the AddressSanitizer library that the plugin needs loaded first: a string of its dynamic table. */
static char *sanitizer_of(const char *path)
{
    char *data, *found = NULL;
    size_t size;

    if (fd_read_file(path, PLUGIN_MAX, &data, &size) < 0)
        return NULL;
    for (const char *at = data; !found && (at = memmem(at, (size_t)(data + size - at), "libasan.so.", 11)); at++)
        found = strndup(at, strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_.-"));
    free(data);
    return found;
}

/* A plugin built with AddressSanitizer cannot be loaded by a program that is not, unless the library was there first.  Without it we count what
 * is allocated, and want no freed memory kept aside by threads of the allocator. */
static void start_again(const char *path, char **argv)
{
    extern void __asan_init(void) __attribute__((weak));
    char *library;

    if (__asan_init || getenv(AGAIN))
        return;
    library = sanitizer_of(path);
    setenv(AGAIN, "1", 1);
    if (library)
        setenv("LD_PRELOAD", library, 1);
    else
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
    execv("/proc/self/exe", argv);
    fprintf(stderr, "umbel-plugin-check: cannot start again: %s\n", strerror(errno));
    exit(EXIT_FAILURE);
}

/* FILE.check beside FILE.so, or of that name without the folder's lib prefix in the current folder. */
static int find_plan(const char *path, const char *given, struct plan *ret_plan, char *why, size_t why_size)
{
    char beside[PATH_MAX];
    size_t size = strlen(path);

    if (given)
        return plan_read(given, ret_plan, why, why_size);
    if (size < 4 || strcmp(path + size - 3, ".so") != 0)
        return -ENOENT;
    snprintf(beside, sizeof beside, "%.*s.check", (int)size - 3, path);
    return plan_read(beside, ret_plan, why, why_size);
}

static int run(const char *path, const char *given, bool json)
{
    static struct plan plan;
    static char words[WORDS_MAX];
    struct report report = {.json = json};
    char why[300] = "";
    int r = find_plan(path, given, &plan, why, sizeof why);

    if (r < 0 && (r != -ENOENT || given)) {
        fprintf(stderr, "umbel-plugin-check: %s\n", why);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        enum check_result result = CHECK_SKIPPED;
        if (r < 0 && checks[i].needs_plan)
            snprintf(words, sizeof words, "no .check file beside it says what a client does");
        else
            result = check_run(&checks[i], path, r < 0 ? NULL : &plan, words, sizeof words);
        tell(&report, &checks[i], result, words);
        if (i == 0 && result != CHECK_OK)
            break; /* what is no plugin cannot be tried */
    }
    return finish(&report, path);
}

int main(int argc, char **argv)
{
    const char *files[2] = {NULL, NULL};
    char path[PATH_MAX];
    int count = 0;
    bool json = false, usage = false;

    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--json") == 0)
            json = true;
        else if (argv[i][0] == '-' || count == 2)
            usage = true;
        else
            files[count++] = argv[i];
    if (usage || !count) {
        fputs("usage: umbel-plugin-check PLUGIN.so [FILE.check] [--json]\n", stderr);
        return 2;
    }
    if (!realpath(files[0], path)) { /* dlopen searches elsewhere for a name without a slash */
        fprintf(stderr, "umbel-plugin-check: %s: %s\n", files[0], strerror(errno));
        return EXIT_FAILURE;
    }
    start_again(path, argv);
    return run(path, files[1], json);
}
