#include "core/daemon/asking.h"

#include <stdlib.h>
#include <string.h>

#include <umbel/host.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_trail.h"
#include "core/policy/policy.h"

#define IDLE_MS (1800u * 1000u) /* turns older than this are history, not memory */

struct asking {
    struct daemon *daemon;
    asking_done *done;
    void *owner;
    struct session *session; /* pinned */
    struct history_ask *ask;
    struct policy_limits key_limits;
    struct answer_question question; /* its texts point behind this struct */
    char bytes[];
};

static void ask_now(struct daemon *daemon, const struct answer_question *question, asking_done *done, void *owner)
{
    struct why why = {""};
    struct answer *answer = NULL;
    uint32_t error = answer_ask(daemon, question, &answer, &why);

    if (error)
        daemon_trail_refused(daemon, daemon->apps[question->app].config->name, question->transport, error, NULL);
    done(owner, error, answer, why.text);
}

static char *copy(char **at, const char *text, size_t size)
{
    char *here = *at;

    memcpy(here, text, size);
    here[size] = '\0';
    *at += size + 1;
    return here;
}

static struct asking *asking_make(struct daemon *daemon, const struct answer_question *question)
{
    size_t session = strlen(question->session), model = strlen(question->model), transport = strlen(question->transport);
    size_t key_name = strlen(question->key_name);
    struct asking *asking =
        malloc(sizeof *asking + session + model + transport + key_name + question->messages.size + question->parameters.size + 6);

    if (!asking)
        return NULL;
    char *at = asking->bytes;
    *asking = (struct asking){.daemon = daemon, .question = *question};
    asking->question.session = copy(&at, question->session, session);
    asking->question.model = copy(&at, question->model, model);
    asking->question.transport = copy(&at, question->transport, transport);
    asking->question.key_name = copy(&at, question->key_name, key_name);
    if (question->key_limits) {
        asking->key_limits = *question->key_limits;
        asking->question.key_limits = &asking->key_limits;
    }
    asking->question.messages.data = copy(&at, question->messages.data, question->messages.size);
    asking->question.parameters.data = copy(&at, question->parameters.data, question->parameters.size);
    return asking;
}

static void loaded(void *owner, const struct history_reply *reply)
{
    struct asking *asking = owner;
    struct session *session = asking->session;

    session->pins--;
    if (reply->error)
        log_warn("the turns of a session could not be read (%s): it goes on without them", reply->text);
    if (!session->loaded && session->turn_count == 0 && reply->count > 0 &&
        (int64_t)(clock_wall_ms() - reply->turns[reply->count - 1].wall_ms) < (int64_t)IDLE_MS) /* also if the clock was set back */
        for (size_t i = 0; i < reply->count; i++)
            session_restore(session, reply->turns[i].message, reply->turns[i].size);
    session->loaded = true;
    ask_now(asking->daemon, &asking->question, asking->done, asking->owner);
    free(asking);
}

void asking_begin(struct daemon *daemon, const struct answer_question *question, asking_done *done, void *owner,
                  struct asking **ret_asking)
{
    const struct config_app *app = daemon->apps[question->app].config;
    struct session *session = NULL;
    struct asking *asking;

    *ret_asking = NULL;
    if (daemon->history && app->history && *question->session && question->flags & UMBEL_REQUEST_MEMORY)
        session = session_get(daemon->sessions, question->app, question->session, clock_now_ns());
    if (!session || session->loaded || !(asking = asking_make(daemon, question))) {
        ask_now(daemon, question, done, owner);
        return;
    }
    asking->done = done;
    asking->owner = owner;
    asking->session = session;
    if (history_load(daemon->history, app->name, session->name, SESSION_TURNS_MAX, SESSION_TURN_BYTES_MAX, loaded, asking, &asking->ask) <
        0) {
        free(asking);
        ask_now(daemon, question, done, owner);
        return;
    }
    session->pins++;
    *ret_asking = asking;
}

void asking_cancel(struct asking *asking)
{
    if (!asking)
        return;
    history_cancel(asking->ask);
    asking->session->pins--;
    free(asking);
}
