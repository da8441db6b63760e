/* im-custom-message/im_time.c - clocks, chance, names: the small services. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "im.h"

uint64_t im_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t im_wall_s(void)
{
    return (uint64_t)time(NULL);
}

uint64_t im_random(struct im *im)
{
    uint64_t x = im->chance += 0x9e3779b97f4a7c15ull; /* splitmix64 over a seed of the kernel's: for ids and jitter, no secrets */

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

void im_count(struct im *im, const char *name)
{
    im->real->count(im->real, name, 1);
}

void im_session(const struct im_bot *bot, const char *user, const char *group, char ret_session[IM_SESSION_MAX])
{
    char whole[3 * IM_ID_MAX];
    unsigned char digest[IM_DIGEST];
    const char *title = bot->plain ? "" : bot->title, *colon = bot->plain ? "" : ":";
    int size;

    if (*group)
        size = snprintf(whole, sizeof whole, "%.120s%sgroup:%s", title, colon, group);
    else
        size = snprintf(whole, sizeof whole, "%.120s%s%s", title, colon, user);
    if (size < (int)IM_SESSION_MAX) {
        memcpy(ret_session, whole, (size_t)size + 1);
        return;
    }
    im_digest(whole, (size_t)size, digest); /* longer than a session's name may be: a short name that stays the same */
    size = snprintf(ret_session, IM_SESSION_MAX, "im:");
    for (size_t i = 0; i < IM_DIGEST; i++)
        size += snprintf(ret_session + size, IM_SESSION_MAX - (size_t)size, "%02x", digest[i]);
}

struct im_bot *im_bot_find(struct im *im, const char *account)
{
    for (uint32_t i = 0; i < im->bot_count; i++)
        if (strcmp(im->bots[i].account, account) == 0)
            return &im->bots[i];
    return NULL;
}
