/* replay, selftest: programs that stand beside umbelctl and take its place.  umbel-replay links the parsers and reads what comes from strangers,
 * umbel-selftest is a network client of every protocol; umbelctl does without either. */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/umbelctl/pages.h"

#define WORDS_MAX (8u + 2u * ADMIN_OPTIONS_MAX)

struct words {
    char *list[WORDS_MAX];
    size_t count;
};

static void add(struct words *words, const char *word)
{
    if (words->count + 1 < WORDS_MAX)
        words->list[words->count++] = (char *)(uintptr_t)word;
    words->list[words->count] = NULL;
}

/* Does not return unless it failed. */
static int become(const struct ctl *ctl, const char *name, struct words *words)
{
    char own[PATH_MAX], program[PATH_MAX], flags[ADMIN_OPTIONS_MAX][64], *slash;
    ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);

    if (size < 0)
        return ctl_complain(CTL_FAILED, NULL, "cannot tell where umbelctl is: %s", strerror(errno));
    own[size] = '\0';
    if ((slash = strrchr(own, '/')))
        *slash = '\0';
    if ((size_t)snprintf(program, sizeof program, "%s/%s", own, name) >= sizeof program)
        return ctl_complain(CTL_FAILED, NULL, "the folder's name is too long");
    if (ctl->json)
        add(words, "--json");
    for (size_t i = 0; i < ctl->option_count; i++) {
        snprintf(flags[i], sizeof flags[i], "--%s", ctl->option_name[i]);
        add(words, flags[i]);
        add(words, ctl->option_value[i]);
    }
    if (ctl->word_count)
        add(words, "--");
    for (size_t i = 0; i < ctl->word_count; i++)
        add(words, ctl->words[i]);
    execv(program, words->list);
    return ctl_complain(CTL_FAILED, "both are installed into one folder", "%s cannot be run: %s", program, strerror(errno));
}

int ctl_replay(const struct ctl *ctl)
{
    struct words words = {0};

    add(&words, "umbel-replay");
    return become(ctl, "umbel-replay", &words);
}

int ctl_selftest(const struct ctl *ctl)
{
    struct words words = {0};
    int r = pages_running(ctl);

    if (r != CTL_OK)
        return r;
    add(&words, "umbel-selftest");
    add(&words, "-s");
    add(&words, ctl->runtime_dir);
    return become(ctl, "umbel-selftest", &words);
}
