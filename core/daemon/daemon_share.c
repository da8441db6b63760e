#include "core/daemon/daemon_share.h"

#include <stdbool.h>
#include <stdlib.h>

struct daemon_share {
    uint32_t taken;
    bool left; /* its transport is gone: whoever gives the last place back frees it */
};

struct daemon_share *daemon_share_take(struct daemon_share **share, uint32_t most)
{
    if (!*share)
        *share = calloc(1, sizeof **share);
    if (!*share || (*share)->taken >= most)
        return NULL;
    (*share)->taken++;
    return *share;
}

void daemon_share_drop(struct daemon_share *share)
{
    if (share && --share->taken == 0 && share->left)
        free(share);
}

void daemon_share_leave(struct daemon_share *share)
{
    if (!share)
        return;
    share->left = true;
    if (share->taken == 0)
        free(share);
}
