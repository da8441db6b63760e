#include "core/daemon/daemon_resume.h"

#include <errno.h>
#include <stdlib.h>

#include <umbel/event.h>

#include "core/daemon/answer.h"
#include "core/daemon/daemon_frames.h"
#include "core/daemon/reviving.h"

/* A client of this worker that waits for the history. */
struct host_resume {
    struct list link; /* daemon_host.resumes */
    struct daemon_host *host;
    struct reviving *reviving;
    uint64_t tag;
};

/* From here until the host's own report it counts a reader: an answer that somebody comes back to is neither given up nor forgotten. */
static void began(struct daemon_host *h, uint64_t tag, struct answer *answer)
{
    if (!answer_has_readers(answer, h->number)) {
        answer_set_readers(answer, h->number, 1);
        answer_read_by(answer, h->transport->config->name);
    }
    daemon_frames_began(h, tag, 0, answer->ref, "");
}

static void revived(void *owner, uint32_t error, struct answer *answer, const char *text)
{
    struct host_resume *resume = owner;
    struct daemon_host *h = resume->host;
    uint64_t tag = resume->tag;

    list_remove(&resume->link);
    h->resume_count--;
    free(resume);
    if (error)
        daemon_frames_began(h, tag, error, (struct journal_ref){0, 0}, text);
    else
        began(h, tag, answer);
}

static void look_for(struct daemon_host *h, uint64_t tag, uint32_t app, const char *id)
{
    struct host_resume *resume = h->resume_count < DAEMON_RESUMES_MAX ? malloc(sizeof *resume) : NULL;
    struct reviving *reviving;

    if (!resume) {
        stats_add(h->daemon->stats, CORE_RESUMES_FULL, 1);
        daemon_frames_began(h, tag, UMBEL_ERROR_BUSY, (struct journal_ref){0, 0}, "");
        return;
    }
    *resume = (struct host_resume){.host = h, .tag = tag};
    list_append(&h->resumes, &resume->link);
    h->resume_count++;
    reviving_begin(h->daemon, app, id, revived, resume, &reviving);
    if (reviving)
        resume->reviving = reviving; /* else it was answered, and is gone */
}

int daemon_resume(struct daemon_host *h, uint64_t tag, struct control_in *in)
{
    char id[CONTROL_TEXT_MAX + 1];
    struct answer *answer;
    uint32_t app;

    uint64_t grant = control_get(in);
    control_get_string(in, id, sizeof id);
    if (!control_done(in))
        return -EPROTO;
    if (!daemon_grant_app(h->daemon, h->transport, grant, &app)) {
        daemon_frames_began(h, tag, UMBEL_ERROR_NOT_FOUND, (struct journal_ref){0, 0}, "no such answer");
        return 0;
    }
    answer = answer_find(h->daemon->answers, (int)app, id);
    if (answer)
        began(h, tag, answer);
    else
        look_for(h, tag, app, id);
    return 0;
}

void daemon_resume_forget(struct daemon_host *h)
{
    while (!list_is_empty(&h->resumes)) {
        struct host_resume *resume = list_entry(h->resumes.next, struct host_resume, link);
        reviving_cancel(resume->reviving);
        list_remove(&resume->link);
        free(resume);
    }
    h->resume_count = 0;
}
