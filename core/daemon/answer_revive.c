#include "core/daemon/answer_revive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>
#include <umbel/json.h>

#include "core/base/log.h"
#include "core/base/number.h"
#include "core/daemon/answer_about.h"
#include "core/daemon/answer_parts.h"
#include "core/daemon/daemon.h"

#define PIECE 32768u /* bytes of text in one entry of the journal */

struct kept_answer {
    struct journal_identity identity;
    struct journal_ending ending;
    struct umbel_json *message;
    const char *text; /* in message */
    size_t size;
};

/* False: the turn does not say all of the answer.  message is the caller's to free. */
static bool read_turn(const struct daemon *daemon, uint32_t app, const struct history_turn *turn, const char *session,
                      struct kept_answer *kept)
{
    uint64_t bytes;
    char why[128];

    if (!answer_about_read(turn->about, &kept->identity, &kept->ending, &bytes) || turn->verdict < UMBEL_VERDICT_COMPLETE ||
        turn->verdict > UMBEL_VERDICT_CANCELLED || strlen(turn->stream) != ANSWER_ID_SIZE - 1 || strlen(session) >= JOURNAL_SESSION_MAX ||
        !number_parse_hex(turn->stream + strlen("chatcmpl-"), 2 * sizeof kept->identity.id, kept->identity.id))
        return false;
    kept->ending.verdict = turn->verdict;
    if ((turn->verdict == UMBEL_VERDICT_FAILED || turn->verdict == UMBEL_VERDICT_TRUNCATED) && kept->ending.error == 0)
        return false; /* such an end is never silent */
    strcpy(kept->identity.session, session); /* fits: see above */
    snprintf(kept->identity.app, sizeof kept->identity.app, "%s", daemon->apps[app].config->name);
    kept->message = umbel_json_parse(turn->message, turn->size, why, sizeof why);
    kept->text = umbel_json_text(umbel_json_member(kept->message, "content"), &kept->size);
    return kept->text && kept->size == bytes;
}

/* Into the journal only: nothing goes to the ring, and opened_ns stays 0, older than all that hosts have seen, so that nobody who watches
 * takes it for a new answer. */
static int write_journal(struct journal_writer *journal, const struct kept_answer *kept, struct journal_ref *ret_ref)
{
    struct journal_ref ref;
    uint64_t offset;
    size_t piece;
    int r = journal_open(journal, &kept->identity, &ref);

    for (size_t at = 0; r == 0 && at < kept->size; at += piece) {
        piece = answer_prefix(kept->text + at, kept->size - at, PIECE);
        r = journal_append(journal, ref, UMBEL_EVENT_TEXT, kept->text + at, piece, &offset);
        if (r < 0) {
            journal_close(journal, ref, &kept->ending);
            journal_evict(journal, ref);
        }
    }
    if (r < 0)
        return r;
    journal_close(journal, ref, &kept->ending);
    *ret_ref = ref;
    return 0;
}

uint32_t answer_revive(struct daemon *daemon, uint32_t app, const struct history_turn *turn, const char *session,
                       struct answer **ret_answer)
{
    struct kept_answer kept = {0};
    struct answer *answer;
    uint32_t error = UMBEL_ERROR_NOT_FOUND;

    if (!read_turn(daemon, app, turn, session, &kept))
        goto out;
    error = UMBEL_ERROR_INTERNAL;
    answer = answer_alloc(daemon, app);
    if (!answer)
        goto out;
    strcpy(answer->id, turn->stream); /* fits: read_turn has looked at its length */
    error = UMBEL_ERROR_BUSY;
    if (write_journal(bus_journal(daemon->bus), &kept, &answer->ref) < 0) {
        stats_add(daemon->stats, CORE_JOURNAL_FULL, 1);
        free(answer);
        goto out;
    }
    answer->upstream = "";
    answer->text_bytes = kept.size;
    answer->finish = kept.ending.finish;
    answer->ended_ns = uring_loop_now_ns(daemon->loop);
    answer_register_ended(daemon->answers, answer);
    stats_add(daemon->stats, CORE_STREAMS_REVIVED, 1);
    log_line(LOG_INFO, answer->id, "read back from the history: app %s, %zu bytes", daemon->apps[app].config->name, kept.size);
    *ret_answer = answer;
    error = 0;
out:
    umbel_json_free(kept.message);
    return error;
}
