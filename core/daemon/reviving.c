#include "core/daemon/reviving.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>

#include "core/base/log.h"
#include "core/daemon/answer_revive.h"
#include "core/daemon/daemon.h"

#define NO_SUCH "no such answer"
#define LATER "The service is overloaded, try again later."

/* One look into the history. */
struct look {
    struct list link; /* daemon.looks */
    struct list waiting; /* struct reviving */
    struct daemon *daemon;
    struct history_ask *ask; /* NULL: answered */
    uint32_t app;
    char id[ANSWER_ID_SIZE];
};

struct reviving {
    struct list link; /* look.waiting */
    struct look *look;
    reviving_done *done;
    void *owner;
};

static void looked(void *owner, const struct history_reply *reply)
{
    struct look *look = owner;
    struct daemon *daemon = look->daemon;
    struct answer *answer = answer_find(daemon->answers, (int)look->app, look->id);
    uint32_t error = 0;

    look->ask = NULL;
    list_remove(&look->link);
    if (reply->error && !answer) {
        log_line(LOG_WARN, look->id, "a resume could not look into the history: %s", reply->text);
        error = UMBEL_ERROR_BUSY;
    } else if (!answer) {
        error = reply->count == 0 || daemon->apps[look->app].removed
                    ? UMBEL_ERROR_NOT_FOUND
                    : answer_revive(daemon, look->app, &reply->turns[0], reply->session, &answer);
    }
    while (!list_is_empty(&look->waiting)) { /* one after the other: what done does may cancel others */
        struct reviving *reviving = list_entry(look->waiting.next, struct reviving, link);
        list_remove(&reviving->link);
        reviving->done(reviving->owner, error, answer, error == 0 ? "" : error == UMBEL_ERROR_NOT_FOUND ? NO_SUCH : LATER);
        free(reviving);
    }
    free(look);
}

static struct look *find_look(struct daemon *daemon, uint32_t app, const char *id)
{
    list_for_each(link, spare, &daemon->looks) {
        struct look *look = list_entry(link, struct look, link);
        if (look->app == app && strcmp(look->id, id) == 0)
            return look;
    }
    return NULL;
}

/* NULL: it cannot be asked now. */
static struct look *begin_look(struct daemon *daemon, uint32_t app, const char *id)
{
    struct look *look = calloc(1, sizeof *look);

    if (!look)
        return NULL;
    look->daemon = daemon;
    look->app = app;
    strcpy(look->id, id); /* fits: its caller has looked at its length */
    list_init(&look->waiting);
    list_init(&look->link);
    if (history_find(daemon->history, daemon->apps[app].config->name, id, looked, look, &look->ask) < 0) {
        free(look);
        return NULL;
    }
    list_append(&daemon->looks, &look->link);
    return look;
}

void reviving_begin(struct daemon *daemon, uint32_t app, const char *id, reviving_done *done, void *owner, struct reviving **ret_reviving)
{
    struct reviving *reviving;
    struct look *look;

    *ret_reviving = NULL;
    if (!daemon->history || !daemon->apps[app].config->history || strlen(id) != ANSWER_ID_SIZE - 1) {
        done(owner, UMBEL_ERROR_NOT_FOUND, NULL, NO_SUCH);
        return;
    }
    reviving = malloc(sizeof *reviving);
    look = reviving ? find_look(daemon, app, id) : NULL;
    if (reviving && !look)
        look = begin_look(daemon, app, id);
    if (!look) {
        free(reviving);
        done(owner, UMBEL_ERROR_BUSY, NULL, LATER);
        return;
    }
    *reviving = (struct reviving){.look = look, .done = done, .owner = owner};
    list_append(&look->waiting, &reviving->link);
    *ret_reviving = reviving;
}

void reviving_cancel(struct reviving *reviving)
{
    struct look *look;

    if (!reviving)
        return;
    look = reviving->look;
    list_remove(&reviving->link);
    free(reviving);
    if (look->ask && list_is_empty(&look->waiting)) {
        history_cancel(look->ask);
        list_remove(&look->link);
        free(look);
    }
}
