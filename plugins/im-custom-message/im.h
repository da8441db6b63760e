/* im-custom-message/im.h - the running plugin: what its files share.
 *
 *   im_hook    webhook -> notice -> im_chat
 *   im_chat    one conversation (bot, group, user): the answer that runs, the question that waits
 *   im_job     one answer to one peer: client of the host, im_answer, its place in the queue, its call
 *   im_reader  the host's codec: events -> im_answer
 *   im_call    pace and turns -> rest carrier -> im_answer
 *   im_keep    what another process needs to finish what this one began
 *   im_mirror  answers that were asked elsewhere
 *   im_command what an operator has done: setup, check
 * All [loop].  Every table has a bound: answers (max_answers), text of each (im_answer.h), names seen (im_seen.h), calls (IM_CALLS_MAX). */
#ifndef IM_H
#define IM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <umbel/http.h>
#include <umbel/rest.h>
#include <umbel/transport.h>

#include "im_answer.h"
#include "im_notice.h"
#include "im_pace.h"
#include "im_seen.h"
#include "im_sign.h"

#define IM_BOTS_MAX 64u
#define IM_CALLS_MAX 128u     /* calls under way at once */
#define IM_SESSION_MAX 128u   /* bytes of a session's name with its zero */
#define IM_STREAM_ID_MAX 64u
#define IM_GROUP_GAP_NS 30000000ull /* between two messages to one group: the service takes 40 a second */
#define IM_CHATS_BUCKETS 4096u
#define IM_STRANGERS 1024u    /* mirrored sessions that are known to be no IM user */

struct event;
struct im;
struct im_chat;
struct im_job;

struct im_bot {
    struct im *im;
    const char *title, *account, *app;
    enum im_mode mode;
    bool mirror;
    bool plain;  /* its sessions are named by the user alone: one bot of each app */
    struct umbel_client *watcher; /* mirror: watches every session of the app */
    TAILQ_HEAD(, im_job) mirrors;
};

enum im_phase {
    IM_WAITING, /* a question whose turn has not come */
    IM_ASKING,  /* the host has been asked, the answer has not begun */
    IM_READING, /* it has */
    IM_ENDED    /* all text is here; some may have to be sent yet */
};

struct im_job {
    TAILQ_ENTRY(im_job) link;      /* im.jobs */
    TAILQ_ENTRY(im_job) in_mirrors;
    struct im_turn turn;
    struct im *im;
    struct im_bot *bot;
    struct im_chat *chat;          /* NULL: mirrored */
    char id[17];                   /* its name in what is kept */
    char user[IM_ID_MAX], group[IM_ID_MAX], session[IM_SESSION_MAX], stream[IM_STREAM_ID_MAX];
    unsigned char once[IM_DIGEST]; /* the question, as im_seen knows it */
    char *question;
    size_t question_size;
    enum im_phase phase;
    struct im_answer answer;
    struct umbel_client *client;   /* the host's; of a mirrored answer NULL: the bot's watcher has the reader */
    struct umbel_reader *reader;
    bool reader_waits;             /* it was told FULL */
    bool stop_wanted;              /* the user pressed stop before the answer began */
    bool mirrored;                 /* in bot->mirrors */
    bool held;                     /* mirrored, and it is not clear yet whether we asked it ourselves */
    bool restored;
    char *saved;                   /* restored: the text that had been shown, in case the answer is gone */
    size_t saved_size;
    uint32_t error;                /* UMBEL_ERROR_* of the answer, 0 = none */
    struct event *timer;
    uint64_t timer_ns;             /* when it fires, 0 = not set */
    struct umbel_rest_call *call;
    uint32_t sig_generation;       /* of the UserSig of its last call */
    enum im_class last_class;
    uint64_t kept_base;            /* of the text chunks kept so far ... */
    size_t kept_text, kept_chunks; /* ... their bytes, their number */
};

struct im_chat {
    struct im_chat *next; /* bucket */
    struct im_bot *bot;
    char user[IM_ID_MAX], group[IM_ID_MAX];
    struct im_job *running, *waiting;
};

struct im {
    struct umbel_host host; /* a copy of the real one with drained() taken over: the HTTP carrier must not end us before our last call */
    const struct umbel_host *real;
    const struct umbel_config *config;
    struct umbel_http *http;
    struct umbel_rest *rest;
    struct im_bot bots[IM_BOTS_MAX];
    uint32_t bot_count;
    /* options */
    uint64_t sdk_app_id, sig_life_s;
    const char *admin, *secret_key, *api_base, *webhook_path, *webhook_token;
    const char *text_failed, *text_busy, *text_empty, *text_stopped, *text_interrupted, *text_refused;
    uint32_t interval_ms, give_up_ms, max_answers;
    bool interrupts; /* a question during an answer stops it */
    /* state */
    TAILQ_HEAD(, im_job) jobs;
    uint32_t job_count;
    struct im_chat *chats[IM_CHATS_BUCKETS];
    struct im_seen *seen;
    struct im_pace pace;
    struct im_turns turns;
    struct event *pump, *volume, *drain;
    uint64_t hold_until_s;  /* the trial's volume is used up until then; 0 = no */
    char sig[IM_SIG_MAX];
    uint64_t sig_renew_s;   /* 0: a new one is needed */
    uint32_t sig_generation;
    uint64_t chance;
    uint64_t alarm_s[IM_CLASS_COUNT]; /* when each class was last told to the log */
    unsigned char strangers[IM_STRANGERS][IM_DIGEST];
    uint64_t stranger_s[IM_STRANGERS];
    uint64_t group_next_ns[256]; /* pace of each group; two groups on one entry are only slower */
    bool pumping, draining, drained, http_drained;
    bool leaving; /* the next process takes everything over: calls under way end, none is begun */
    struct umbel_out body, url, keep;
    struct im_command *command; /* under way, or NULL */
};

/* im_time.c */
uint64_t im_now_ns(void);
uint64_t im_wall_s(void);
uint64_t im_random(struct im *im);
void im_count(struct im *im, const char *name);
/* im_session - the session of (bot, user) or (bot, group). */
void im_session(const struct im_bot *bot, const char *user, const char *group, char ret_session[IM_SESSION_MAX]);
struct im_bot *im_bot_find(struct im *im, const char *account);

/* im_job.c */
struct im_job *im_job_new(struct im_bot *bot, const char *user, const char *group); /* NULL: no room */
void im_job_free(struct im_job *job);           /* leaves the answer; nothing more is sent */
void im_job_start(struct im_job *job);          /* becomes a client of the host; asks, or resumes job->stream */
void im_job_stop(struct im_job *job);           /* the user does not want the rest */
void im_job_end(struct im_job *job, enum im_ending ending, const char *words); /* no more text will come */
void im_job_interrupt(struct im_job *job);      /* there is no time for more: it is finished with what there is */
void im_job_look(struct im_job *job);           /* something has changed: is there a call to make? */
void im_job_look_at(struct im_job *job, uint64_t when_ns);
void im_job_text(struct im_job *job);           /* text has come: look, unless the timer will */
void im_job_finished(struct im_job *job);       /* the answer is over: on to the next question; frees the job; from its timer only */
void im_check_drained(struct im *im);

/* im_reader.c */
extern const struct umbel_codec im_reader_codec;
void im_reader_resume(struct im_job *job);      /* there is room again */

/* im_call.c */
int im_calls_open(struct im *im);
void im_calls_pump(struct im *im);
void im_calls_close(struct im *im);

const char *im_call_url(struct im *im, const char *service); /* signed; good until the next call of it */

/* im_command.c */
void im_command(void *self, uint64_t id, const char *word, const char *const *arguments, uint32_t count);
void im_command_close(struct im *im);

/* im_chat.c */
void im_chat_notice(struct im *im, const struct im_notice *notice);
struct im_chat *im_chat_find(struct im_bot *bot, const char *user, const char *group);
struct im_chat *im_chat_get(struct im_bot *bot, const char *user, const char *group); /* makes it; NULL: no memory */
void im_chat_adopt(struct im_chat *chat, struct im_job *job);  /* after a restart; one of its two places is free */
void im_chat_job_done(struct im_chat *chat, struct im_job *job); /* running is free again: the next question, or the chat goes */
void im_chats_drain(struct im *im);

/* im_keep.c */
void im_keep_save(struct im_job *job);
void im_keep_forget(struct im_job *job);
void im_keep_restore(struct im *im); /* begins again what a process that has ended left unfinished */

/* im_mirror.c */
extern const struct umbel_codec im_watcher_codec;
void im_mirror_open(struct im_bot *bot);
void im_mirror_close(struct im_bot *bot);
void im_mirror_asked(struct im_job *job);    /* leaves IM_ASKING, begun or not: mirrors held back for it are decided */
void im_mirror_stranger(struct im_job *job); /* the service knows no such user */

/* im_hook.c */
int im_hook_open(struct im *im);

#endif
