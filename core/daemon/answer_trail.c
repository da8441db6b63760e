/* daemon/answer_trail.c - what happens to an answer, as events. */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/number.h"
#include "core/daemon/daemon.h"
#include "core/daemon/daemon_trail.h"

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

static struct trail_record record_of(const struct answer *answer, enum trail_kind kind, const char *upstream)
{
    struct trail_record record = {.kind = (uint16_t)kind};

    number_parse_hex(answer->id + strlen("chatcmpl-"), 2 * sizeof record.stream, record.stream);
    trail_text(&record, TRAIL_T_APP, answer->daemon->apps[answer->app].config->name);
    trail_text(&record, TRAIL_T_TRANSPORT, answer->transport);
    trail_text(&record, TRAIL_T_UPSTREAM, upstream ? upstream : "");
    return record;
}

static void put(const struct answer *answer, struct trail_record *record)
{
    trail_put(answer->daemon->trail, record);
}

static void tell_connected(const struct answer *answer, const char *upstream, uint64_t kept)
{
    struct trail_record record = record_of(answer, TRAIL_CONNECTED, upstream);

    record.value[TRAIL_V_DURATION] = since(answer->asked_ns, clock_now_ns());
    record.value[TRAIL_V_COUNT] = kept;
    put(answer, &record);
}

void answer_trail_asked(struct answer *answer, const char *transport, size_t bytes)
{
    struct trail_record record;

    snprintf(answer->transport, sizeof answer->transport, "%s", transport);
    answer->told_asked = true;
    record = record_of(answer, TRAIL_ASKED, answer->upstream);
    record.value[TRAIL_V_BYTES] = bytes;
    record.value[TRAIL_V_DURATION] = since(answer->asked_ns, clock_now_ns());
    put(answer, &record);
    if (answer->was_sent)
        tell_connected(answer, answer->upstream, 1);
}

void answer_trail_note(void *owner, enum upstream_note note, const char *upstream, uint64_t number)
{
    static const uint16_t kinds[] = {
        [UPSTREAM_ASKED] = TRAIL_CONNECTED,      [UPSTREAM_REPLIES] = TRAIL_FIRST_BYTE,     [UPSTREAM_TRIED_AGAIN] = TRAIL_RETRY,
        [UPSTREAM_GAVE_WAY] = TRAIL_FAILOVER,    [UPSTREAM_CONTINUES] = TRAIL_CONTINUED,    [UPSTREAM_LEFT_ALONE] = TRAIL_BREAKER_OPEN,
        [UPSTREAM_BACK] = TRAIL_BREAKER_CLOSED,
    };
    struct answer *answer = owner;
    struct trail_record record;

    if (!answer->told_asked) { /* the question went out on a kept connection before it was known that there will be an answer */
        answer->was_sent = true;
        return;
    }
    if (note == UPSTREAM_ASKED) {
        tell_connected(answer, upstream, number);
        return;
    }
    record = record_of(answer, kinds[note], upstream);
    if (note == UPSTREAM_CONTINUES)
        record.value[TRAIL_V_BYTES] = number;
    else if (note == UPSTREAM_REPLIES)
        record.value[TRAIL_V_DURATION] = since(answer->asked_ns, clock_now_ns());
    else if (note == UPSTREAM_TRIED_AGAIN || note == UPSTREAM_GAVE_WAY)
        record.value[TRAIL_V_TRIES] = group_call_tries(answer->call);
    put(answer, &record);
}

void answer_trail_first_token(const struct answer *answer)
{
    struct trail_record record = record_of(answer, TRAIL_FIRST_TOKEN, answer->upstream);

    record.value[TRAIL_V_TTFT] = since(answer->asked_ns, answer->first_token_ns);
    put(answer, &record);
}

void answer_trail_limit(const struct answer *answer, const char *which)
{
    struct trail_record record = record_of(answer, TRAIL_LIMIT, answer->upstream);

    trail_text(&record, TRAIL_T_REASON, which);
    put(answer, &record);
}

void answer_trail_orphaned(const struct answer *answer)
{
    struct trail_record record = record_of(answer, TRAIL_ORPHANED, answer->upstream);

    put(answer, &record);
}

void answer_trail_ended(const struct answer *answer, uint32_t verdict, uint32_t error, const struct answer_tokens *tokens)
{
    struct trail_record record = record_of(answer, TRAIL_ENDED, answer->upstream);

    record.verdict = (uint8_t)verdict;
    record.finish = (uint8_t)answer->finish;
    record.error = (uint8_t)error;
    record.value[TRAIL_V_TTFT] = answer->first_token_ns ? since(answer->asked_ns, answer->first_token_ns) : 0;
    record.value[TRAIL_V_DURATION] = since(answer->asked_ns, clock_now_ns());
    record.value[TRAIL_V_READERS] = tokens->readers_peak;
    record.value[TRAIL_V_PROMPT] = tokens->prompt;
    record.value[TRAIL_V_TOKENS] = tokens->completion;
    record.value[TRAIL_V_BYTES] = answer->text_bytes;
    record.value[TRAIL_V_TRIES] = answer->tries;
    record.value[TRAIL_V_COUNT] = answer->deltas;
    put(answer, &record);
}
