#include "core/daemon/daemon_tail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/json.h>
#include <umbel/out.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/number.h"
#include "core/daemon/daemon.h"

#define PIECE 16384u             /* bytes of one line's text at most */
#define LOOK_AGAIN_NS (50 * CLOCK_MS)

struct tail {
    struct list link;  /* daemon.tails */
    struct list reads; /* struct tail_read */
    struct daemon *daemon;
    struct admin_request *request;
    struct uring_timer timer; /* while umbelctl is behind */
    uint64_t full_since_ns, sent; /* sent: lines */
    uint32_t app, count;
    char session[JOURNAL_SESSION_MAX]; /* "": one answer only */
};

struct tail_read {
    struct list link;
    struct answer_listener listener; /* while the answer runs */
    struct tail *tail;
    struct journal_cursor cursor;
    char id[ANSWER_ID_SIZE];
    bool running;
};

static void read_free(struct tail_read *read)
{
    if (list_is_linked(&read->listener.link))
        list_remove(&read->listener.link);
    list_remove(&read->link);
    read->tail->count--;
    free(read);
}

static void tail_free(struct tail *tail)
{
    list_for_each(link, spare, &tail->reads)
        read_free(list_entry(link, struct tail_read, link));
    uring_timer_clear(tail->daemon->loop, &tail->timer);
    list_remove(&tail->link);
    free(tail);
}

static void gone(void *owner)
{
    tail_free(owner);
}

/* False: nobody listens any more; gone() follows. */
static bool send_line(struct tail *tail, struct umbel_out *line)
{
    int r = line->failed ? -ENOMEM : admin_send(tail->request, line->data, line->size);

    umbel_out_free(line);
    tail->sent++;
    return r == 0;
}

static void put_text(struct umbel_out *line, const char *member, const char *text, size_t size)
{
    umbel_out_printf(line, ",\"%s\":", member);
    umbel_out_json(line, text, size);
}

static bool say_open(struct tail_read *read)
{
    const struct journal_reader *journal = bus_journal_reader(read->tail->daemon->bus);
    struct journal_identity identity;
    struct umbel_out line = {0};

    if (journal_identity(journal, read->cursor.ref, &identity) < 0)
        return true;
    umbel_out_printf(&line, "{\"event\":\"open\",\"stream\":\"%s\"", read->id);
    put_text(&line, "app", identity.app, strnlen(identity.app, sizeof identity.app));
    put_text(&line, "session", identity.session, strnlen(identity.session, sizeof identity.session));
    put_text(&line, "model", identity.model, strnlen(identity.model, sizeof identity.model));
    umbel_out_printf(&line, ",\"position\":%llu}", (unsigned long long)read->cursor.text);
    return send_line(read->tail, &line);
}

static const char *const verdicts[] = {"", "complete", "truncated", "failed", "cancelled"};

/* An answer has been read to its end.  False: so has the tail. */
static bool finish_read(struct tail_read *read, const struct journal_ending *ending)
{
    const char *verdict = ending->verdict < sizeof verdicts / sizeof verdicts[0] ? verdicts[ending->verdict] : "";
    size_t error_size = strnlen(ending->error_text, sizeof ending->error_text);
    unsigned long long position = read->cursor.text;
    struct tail *tail = read->tail;
    struct umbel_out line = {0};

    umbel_out_printf(&line, *tail->session ? "{\"event\":\"closed\",\"stream\":\"%s\"" : "\"stream\":\"%s\"", read->id);
    umbel_out_printf(&line, ",\"position\":%llu,\"verdict\":\"%s\"", position, verdict);
    put_text(&line, "error", ending->error_text, error_size);
    if (*tail->session) {
        umbel_out_put(&line, "}", 1);
        read_free(read);
        return send_line(tail, &line);
    }
    umbel_out_put(&line, "", 1);
    admin_finish(tail->request, line.failed ? NULL : line.data);
    umbel_out_free(&line);
    tail_free(tail);
    return false;
}

static void cut(struct tail_read *read, const char *why)
{
    struct tail *tail = read->tail;
    struct umbel_out hint = {0};

    umbel_out_printf(&hint, "umbelctl stream tail %s --from %llu", read->id, (unsigned long long)read->cursor.text);
    umbel_out_put(&hint, "", 1);
    log_line(LOG_INFO, read->id, "umbelctl stream tail ends: %s", why);
    admin_fail(tail->request, why, hint.failed ? NULL : hint.data);
    umbel_out_free(&hint);
    tail_free(tail);
}

enum pumped { PUMP_EMPTY, PUMP_FULL, PUMP_OVER };

/* As much of one answer as may go now. */
static enum pumped pump_read(struct tail_read *read)
{
    static const char *const kinds[] = {[UMBEL_EVENT_TEXT] = "text", [UMBEL_EVENT_REASONING] = "reasoning", [UMBEL_EVENT_TOOL] = "tool"};
    static char piece[1u << 20]; /* a tool's call is never cut */
    struct tail *tail = read->tail;
    const struct journal_reader *journal = bus_journal_reader(tail->daemon->bus);
    struct journal_ending ending;

    while (admin_unsent(tail->request) < DAEMON_TAIL_QUEUE) {
        unsigned long long position = read->cursor.text;
        struct umbel_out line = {0};
        size_t size;
        int kind = journal_read(journal, &read->cursor, piece, PIECE, &size);

        if (kind == -EMSGSIZE)
            kind = journal_read(journal, &read->cursor, piece, sizeof piece, &size);
        if (kind < 0) {
            cut(read, kind == -ESTALE ? "the answer was forgotten before all of it was read" : "the answer cannot be read");
            return PUMP_OVER;
        }
        if (kind == 0) {
            if (journal_ending(journal, read->cursor.ref, &ending) < 0)
                return PUMP_EMPTY;
            return finish_read(read, &ending) ? PUMP_EMPTY : PUMP_OVER;
        }
        umbel_out_printf(&line, "{\"event\":\"%s\",\"stream\":\"%s\",\"position\":%llu", kinds[kind], read->id, position);
        put_text(&line, "text", piece, size);
        umbel_out_put(&line, "}", 1);
        if (!send_line(tail, &line))
            return PUMP_OVER;
    }
    return PUMP_FULL;
}

/* A new answer may be opened, an old one closed, by what is called in here: only the timer and listeners begin it. */
static void pump(struct tail *tail)
{
    uint64_t now_ns = uring_loop_now_ns(tail->daemon->loop), sent = tail->sent;
    enum pumped pumped = PUMP_EMPTY;

    list_for_each(link, spare, &tail->reads) {
        pumped = pump_read(list_entry(link, struct tail_read, link));
        if (pumped == PUMP_OVER)
            return;
        if (pumped == PUMP_FULL)
            break;
    }
    if (pumped != PUMP_FULL) {
        tail->full_since_ns = 0;
        return;
    }
    if (tail->full_since_ns == 0 || tail->sent > sent)
        tail->full_since_ns = now_ns;
    if (now_ns - tail->full_since_ns > DAEMON_TAIL_PATIENCE_S * CLOCK_S) {
        cut(list_entry(tail->reads.next, struct tail_read, link), "umbelctl was too slow to take the text, and was cut off");
        return;
    }
    uring_timer_set(tail->daemon->loop, &tail->timer, LOOK_AGAIN_NS);
}

static void look_again(struct uring_timer *timer)
{
    struct tail *tail = list_entry(timer, struct tail, timer);

    pump(tail);
}

/* Out of the answer's own turn: what ends a tail must not happen below the answer. */
static void answer_moved(struct answer_listener *listener, uint32_t kind, uint32_t code, const char *data, size_t size)
{
    struct tail_read *read = list_entry(listener, struct tail_read, listener);

    (void)code, (void)data, (void)size;
    if (kind == UMBEL_EVENT_CLOSED)
        read->running = false; /* and the listener is unlinked */
    if (!uring_timer_is_set(&read->tail->timer))
        uring_timer_set(read->tail->daemon->loop, &read->tail->timer, 0);
}

/* -ENOSPC, -ENOMEM, or as journal_seek_text. */
static int follow(struct tail *tail, struct answer *answer, uint64_t position)
{
    struct tail_read *read;
    int r = 0;

    if (tail->count == DAEMON_TAIL_ANSWERS_MAX)
        return -ENOSPC;
    read = calloc(1, sizeof *read);
    if (!read)
        return -ENOMEM;
    read->tail = tail;
    read->cursor.ref = answer->ref;
    if (position > 0)
        r = journal_seek_text(bus_journal_reader(tail->daemon->bus), answer->ref, position, &read->cursor);
    if (r < 0) {
        free(read);
        return r;
    }
    memcpy(read->id, answer->id, sizeof read->id);
    read->listener.event = answer_moved;
    read->listener.passive = true;
    read->running = answer->call != NULL;
    list_init(&read->listener.link);
    list_append(&tail->reads, &read->link);
    tail->count++;
    if (read->running)
        answer_listen(answer, &read->listener);
    log_line(LOG_INFO, answer->id, "an operator reads along (umbelctl stream tail)");
    if (say_open(read) && !uring_timer_is_set(&tail->timer))
        uring_timer_set(tail->daemon->loop, &tail->timer, 0);
    return 0;
}

void daemon_tail_opened(struct answer *answer)
{
    struct daemon *daemon = answer->daemon;

    if (!answer->session)
        return;
    list_for_each(link, spare, &daemon->tails) {
        struct tail *tail = list_entry(link, struct tail, link);
        struct umbel_out line = {0};

        if (tail->app != answer->app || strcmp(tail->session, answer->session->name) != 0 || follow(tail, answer, 0) == 0)
            continue;
        umbel_out_printf(&line, "{\"event\":\"skipped\",\"stream\":\"%s\"}", answer->id);
        send_line(tail, &line);
    }
}

static bool is_id(const char *word)
{
    return strncmp(word, "chatcmpl-", 9) == 0 && strlen(word) == ANSWER_ID_SIZE - 1 && strspn(word + 9, "0123456789abcdef") == 32;
}

static void fail_follow(struct tail *tail, int error)
{
    struct admin_request *request = tail->request;

    if (error == -ERANGE)
        admin_fail(request, "--from is past the end of the text", "it counts bytes of the answer's text; 0 is the beginning");
    else if (error == -EILSEQ)
        admin_fail(request, "--from is inside a character", "use a position that umbelctl has printed");
    else
        admin_fail(request, error == -ESTALE ? "the answer has just been forgotten" : "no memory", NULL);
    tail_free(tail);
}

/* app -1: of any. */
static void tail_answer(struct tail *tail, int app, const char *id, uint64_t from)
{
    struct answer *answer = answer_find(tail->daemon->answers, app, id);
    int r;

    if (!answer) {
        admin_fail(tail->request, "no answer has this id", "umbelctl stream list shows those that run and those that ended lately");
        tail_free(tail);
        return;
    }
    r = follow(tail, answer, from);
    if (r < 0)
        fail_follow(tail, r);
}

static void tail_session(struct tail *tail, const char *name)
{
    struct session *session = session_find(tail->daemon->sessions, tail->app, name);

    strcpy(tail->session, name); /* fits: its length was checked */
    list_for_each(link, spare, session ? &session->streams : &tail->reads) {
        if (!session || follow(tail, list_entry(link, struct answer, in_session), 0) < 0)
            break; /* further ones come when they begin */
    }
}

static void stream_tail(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    struct daemon *daemon = owner;
    const char *word = admin_argument(arguments, 0), *app_name = admin_option_value(arguments, "app"), *from = admin_option_value(arguments, "from");
    bool one = is_id(word);
    int app = app_name ? daemon_find_app(daemon, app_name) : one ? 0 : daemon_only_app(daemon);
    struct tail *tail;
    uint64_t position = 0;

    stats_add(daemon->stats, CORE_ADMIN_COMMANDS, 1);
    if (app < 0) {
        admin_fail(request, app_name ? "no app has this name" : "there is not exactly one app", "name one of the configuration's apps: --app APP");
        return;
    }
    if (from && (!one || !number_parse_u64(from, strlen(from), &position))) {
        admin_fail(request, one ? "--from needs a whole number" : "--from goes with an answer's id, not with a session",
                   "umbelctl stream tail ID --from 120");
        return;
    }
    if (!one && (strlen(word) >= JOURNAL_SESSION_MAX || !*word)) {
        admin_fail(request, "a session's name has 1 to 127 bytes", NULL);
        return;
    }
    tail = calloc(1, sizeof *tail);
    if (!tail) {
        admin_fail(request, "no memory", NULL);
        return;
    }
    *tail = (struct tail){.daemon = daemon, .request = request, .app = (uint32_t)app, .timer = {.fired = look_again}};
    list_init(&tail->reads);
    list_append(&daemon->tails, &tail->link);
    admin_on_gone(request, gone, tail);
    if (one)
        tail_answer(tail, app_name ? app : -1, word, position);
    else
        tail_session(tail, word);
}

void daemon_tail_admin(struct daemon *daemon)
{
    admin_server_handle(daemon->admin, "stream tail", stream_tail, daemon);
}
