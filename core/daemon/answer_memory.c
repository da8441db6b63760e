/* What an answer leaves behind: turns in the session's memory and in the history. */
#include "core/daemon/answer_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <umbel/event.h>

#include "core/base/clock.h"
#include "core/daemon/answer_about.h"
#include "core/daemon/daemon.h"

#define MEMORY_ANSWER_MAX 12288u /* bytes of an answer that the next question sees; a longer one is cut there */
#define HISTORY_ANSWER_MAX (1u << 20) /* bytes of an answer kept in the history */

size_t answer_prefix(const char *text, size_t size, size_t max)
{
    if (size <= max)
        return size;
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

/* whole: text is all that it said, so that it can be told again. */
static void add_to_history(struct answer *answer, const struct journal_ending *ending, const char *text, size_t size, bool whole)
{
    struct umbel_out message = {0}, about = {0};
    struct journal_identity identity;
    uint64_t now_ms = clock_wall_ms();

    umbel_out_text(&message, "{\"role\":\"assistant\",\"content\":");
    umbel_out_json(&message, text, size);
    umbel_out_put(&message, "}", 1);
    bool forgotten = answer->forget && answer->reader_total == 0; /* on_orphan = drain: nobody is told it again */
    if (whole && !forgotten && journal_identity(bus_journal_reader(answer->daemon->bus), answer->ref, &identity) == 0) {
        answer_about_write(&identity, ending, size, &about);
        umbel_out_put(&about, "", 1);
    }
    const struct history_turn turns[] = {
        {.role = HISTORY_ROLE_USER,
         .wall_ms = now_ms,
         .stream = answer->id,
         .message = answer->question,
         .size = strlen(answer->question)},
        {.role = HISTORY_ROLE_ASSISTANT,
         .verdict = ending->verdict,
         .wall_ms = now_ms,
         .stream = answer->id,
         .message = message.data,
         .size = message.size,
         .about = about.size && !about.failed ? about.data : ""},
    };
    if (!message.failed)
        history_add(answer->daemon->history, answer->daemon->apps[answer->app].config->name, answer->session->name, turns, 2);
    umbel_out_free(&message);
    umbel_out_free(&about);
}

/* Puts question and answer into the session's memory and history; the text is read back from the journal, so it is held nowhere else. */
void answer_remember(struct answer *answer, const struct journal_ending *ending)
{
    struct journal_cursor cursor = {.ref = answer->ref};
    size_t size = 0, got, room = answer->text_bytes < HISTORY_ANSWER_MAX ? answer->text_bytes + 8 : HISTORY_ANSWER_MAX;
    bool tools = false;
    char *text;

    if (!answer->session || !answer->question || answer->text_bytes == 0)
        return;
    text = malloc(room);
    if (!text)
        return;
    while (room - size >= 8) {
        int kind = journal_read(bus_journal_reader(answer->daemon->bus), &cursor, text + size, room - size, &got);
        tools = tools || kind == -EMSGSIZE || kind == UMBEL_EVENT_TOOL;
        if (kind == -EMSGSIZE || kind == UMBEL_EVENT_REASONING || kind == UMBEL_EVENT_TOOL) {
            if (kind == -EMSGSIZE)
                break; /* a tool call larger than the memory: what stands before it is kept */
            continue;
        }
        if (kind <= 0)
            break;
        size += got;
    }
    session_remember(answer->session, answer->question, text, answer_prefix(text, size, MEMORY_ANSWER_MAX));
    if (answer->daemon->history)
        add_to_history(answer, ending, text, size, !tools && size == answer->text_bytes);
    free(text);
}

static uint32_t role_of(const char *message)
{
    static const struct {
        const char *word;
        uint32_t role;
    } roles[] = {{"\"role\":\"user\"", HISTORY_ROLE_USER}, {"\"role\":\"assistant\"", HISTORY_ROLE_ASSISTANT}};

    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (strstr(message, roles[i].word))
            return roles[i].role;
    return HISTORY_ROLE_TOOL;
}

/* The client has sent the conversation itself: the history begins anew with it. */
void answer_replace_history(struct daemon *daemon, uint32_t app, struct session *session)
{
    struct history_turn turns[SESSION_TURNS_MAX] = {0};

    for (uint32_t i = 0; i < session->turn_count; i++)
        turns[i] = (struct history_turn){.role = role_of(session->turns[i]),
                                         .flags = i == 0 ? HISTORY_TURN_FIRST : 0,
                                         .wall_ms = clock_wall_ms(),
                                         .stream = "",
                                         .message = session->turns[i],
                                         .size = strlen(session->turns[i])};
    if (session->turn_count)
        history_add(daemon->history, daemon->apps[app].config->name, session->name, turns, session->turn_count);
}
