#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/umbel-replay/replay.h"

/* Of one file.  Answers have consecutive numbers, from `first` on. */
struct reading {
    const struct replay_options *options;
    void (*done)(void *owner, const struct replay_answer *answer);
    void *owner;
    struct replay_sums *sums;
    uint64_t first, count;
    struct replay_answer **answers; /* NULL: not begun, or told */
    struct span *ends;              /* payloads of END records */
};

const char *replay_result_word(enum replay_result result)
{
    static const char *const words[] = {"identical", "different", "unfinished", "nothing"};

    return words[result];
}

const char *replay_verdict_word(const struct upstream_record_end *end)
{
    static const char *const words[] = {"", "complete", "truncated", "failed", "cancelled"};

    return end->how == RECORD_CANCELLED ? "cancelled" : words[end->verdict];
}

static void keep_event(void *owner, const struct parse_event *event)
{
    struct replay_answer *answer = owner;

    if (event->kind == PARSE_TEXT)
        umbel_out_put(&answer->text, event->text.data, event->text.size);
    else if (event->kind == PARSE_REASONING)
        umbel_out_put(&answer->reasoning, event->text.data, event->text.size);
    else if (event->kind == PARSE_TOOL) {
        umbel_out_text(&answer->tools, answer->tools.size ? "," : "");
        umbel_out_put(&answer->tools, event->text.data, event->text.size);
    }
}

static void answer_free(struct replay_answer *answer)
{
    if (!answer)
        return;
    upstream_replay_free(answer->replay);
    umbel_json_free(answer->begin);
    umbel_json_free(answer->end);
    umbel_out_free(&answer->text);
    umbel_out_free(&answer->reasoning);
    umbel_out_free(&answer->tools);
    free(answer);
}

static enum upstream_record_how how_of(const struct replay_answer *answer)
{
    enum upstream_record_how how = RECORD_DECIDED;

    if (answer->end)
        upstream_record_how_parse(umbel_json_member_text(answer->end, "how", "decided"), &how);
    return how;
}

/* The quirks as they were, by name: those that this version does not know do not matter to it. */
static void read_quirks(const struct umbel_json *begin, struct dialect_quirks *ret_quirks)
{
    const struct umbel_json *quirks = umbel_json_member(begin, "quirks");
    char word[64];

    *ret_quirks = dialect_quirks_default;
    for (const struct umbel_json *each = umbel_json_first(quirks); each; each = umbel_json_next(each)) {
        snprintf(word, sizeof word, "%s%s", umbel_json_bool(each, 0) ? "" : "no-", umbel_json_name(each));
        dialect_quirks_set(ret_quirks, word, NULL);
    }
}

static int answer_new(struct reading *reading, const struct capture_record *record, struct replay_answer **ret_answer, struct why *why)
{
    struct replay_answer *answer = calloc(1, sizeof *answer);
    struct span end = reading->ends[record->answer - reading->first];
    struct dialect_quirks quirks;
    int r = -ENOMEM;

    if (!answer)
        return why_set(why, -ENOMEM, "no memory");
    answer->number = record->answer;
    answer->begun_us = record->at_us;
    answer->text.limit = answer->reasoning.limit = answer->tools.limit = REPLAY_TEXT_MAX;
    answer->begin = umbel_json_parse(record->payload.data, record->payload.size, why->text, sizeof why->text);
    if (end.data)
        answer->end = umbel_json_parse(end.data, end.size, why->text, sizeof why->text);
    if (!answer->begin || (end.data && !answer->end)) {
        r = -EBADMSG;
        goto fail;
    }
    read_quirks(answer->begin, &quirks);
    bool cancelled = how_of(answer) == RECORD_CANCELLED;
    struct upstream_replay_options options = {
        .dialect = umbel_json_member_text(answer->begin, "dialect", ""),
        .quirks = &quirks,
        .answer_max_bytes = (uint32_t)umbel_json_member_integer(answer->begin, "answer_max_bytes", 0),
        .cancelled_after = cancelled ? (uint64_t)umbel_json_member_integer(answer->end, "events", 0) : UINT64_MAX,
        .event = keep_event,
        .owner = answer};
    r = upstream_replay_create(&options, &answer->replay, why);
    if (r < 0)
        goto fail;
    *ret_answer = answer;
    return 0;
fail:
    answer_free(answer);
    return r;
}

static void note_difference(struct replay_answer *answer, const char *what)
{
    size_t have = strlen(answer->differs);

    snprintf(answer->differs + have, sizeof answer->differs - have, "%s%s", have ? ", " : "", what);
}

static void compare(struct replay_answer *answer)
{
    const struct umbel_json *then = answer->end;
    const struct upstream_record_end *now = &answer->now;
    char sum[17];

    snprintf(sum, sizeof sum, "%016llx", (unsigned long long)now->digest.sum);
    if (strcmp(umbel_json_member_text(then, "verdict", ""), replay_verdict_word(now)) != 0)
        note_difference(answer, "verdict");
    if (umbel_json_member_integer(then, "error", -1) != (int64_t)now->error)
        note_difference(answer, "error");
    if (strcmp(umbel_json_member_text(then, "text", ""), now->text) != 0)
        note_difference(answer, "error text");
    if (umbel_json_member_integer(then, "events", -1) != (int64_t)now->digest.events)
        note_difference(answer, "number of events");
    if (umbel_json_member_integer(then, "text_bytes", -1) != (int64_t)now->digest.text_bytes)
        note_difference(answer, "bytes of text");
    if (strcmp(umbel_json_member_text(then, "digest", ""), sum) != 0)
        note_difference(answer, "events");
    answer->result = *answer->differs ? REPLAY_DIFFERENT : REPLAY_IDENTICAL;
}

static void finish(struct reading *reading, struct replay_answer *answer)
{
    enum upstream_record_how how = how_of(answer);

    upstream_replay_end(answer->replay, how, umbel_json_bool(umbel_json_member(answer->end, "clean"), 0),
                        umbel_json_member_text(answer->end, "text", ""), &answer->now);
    if (!answer->end)
        answer->result = REPLAY_UNFINISHED;
    else if (how == RECORD_UNREACHED)
        answer->result = REPLAY_NOTHING;
    else
        compare(answer);
    reading->sums->answers++;
    reading->sums->count[answer->result]++;
    reading->done(reading->owner, answer);
    reading->answers[answer->number - reading->first] = NULL;
    answer_free(answer);
}

static void feed(const struct reading *reading, struct replay_answer *answer, const struct capture_record *record)
{
    size_t step = reading->options->every_byte ? 1 : record->payload.size;

    if (answer->bytes == 0)
        answer->first_us = record->at_us;
    answer->last_us = record->at_us;
    answer->bytes += record->payload.size;
    for (size_t at = 0; at < record->payload.size; at += step)
        if (upstream_replay_feed(answer->replay, record->payload.data + at, step))
            return;
}

/* 0 or -errno with words. */
static int take(struct reading *reading, const struct capture_record *record, struct why *why)
{
    struct replay_answer **answer;

    if (record->answer == 0 || (reading->options->only && record->answer != reading->options->only))
        return 0;
    answer = &reading->answers[record->answer - reading->first];
    if (record->type == CAPTURE_BEGIN)
        return *answer ? why_set(why, -EBADMSG, "answer %llu begins twice", (unsigned long long)record->answer)
                       : answer_new(reading, record, answer, why);
    if (*answer && record->type == CAPTURE_BYTES)
        feed(reading, *answer, record);
    else if (*answer && record->type == CAPTURE_END)
        finish(reading, *answer);
    return 0;
}

/* Walks over all records; each may be NULL.  0, also when the file's end is damaged: the sums say so. */
static int walk(struct reading *reading, struct span file, int (*each)(struct reading *reading, const struct capture_record *record, struct why *why),
                struct why *why)
{
    struct capture_record record;
    size_t at = CAPTURE_FILE_HEAD;
    struct why damage = {""};
    int r;

    while ((r = capture_read(file, &at, &record, &damage)) == 1)
        if ((r = each(reading, &record, why)) < 0)
            return r;
    reading->sums->cut = r == -ENODATA;
    snprintf(reading->sums->damage, sizeof reading->sums->damage, "%s", damage.text);
    return 0;
}

/* First pass: which answers there are. */
static int count(struct reading *reading, const struct capture_record *record, struct why *why)
{
    if (record->type == CAPTURE_INFO)
        reading->sums->info = record->payload;
    if (record->type == CAPTURE_STOP)
        reading->sums->stop = record->payload;
    if (record->answer == 0)
        return 0;
    if (reading->count == 0)
        reading->first = record->answer;
    if (record->answer < reading->first || record->answer - reading->first > reading->count)
        return why_set(why, -EBADMSG, "answer %llu is out of order", (unsigned long long)record->answer);
    if (record->answer - reading->first == reading->count)
        reading->count++;
    return 0;
}

/* Second pass: how they ended, which must be known before they begin. */
static int note_end(struct reading *reading, const struct capture_record *record, struct why *why)
{
    (void)why;
    if (record->type == CAPTURE_END && record->answer)
        reading->ends[record->answer - reading->first] = record->payload;
    return 0;
}

int replay_file(struct span file, const struct replay_options *options, void (*done)(void *owner, const struct replay_answer *answer),
                void *owner, struct replay_sums *ret_sums, struct why *why)
{
    struct reading reading = {.options = options, .done = done, .owner = owner, .sums = ret_sums};
    int r = capture_read_head(file, why);

    *ret_sums = (struct replay_sums){0};
    if (r == 0)
        r = walk(&reading, file, count, why);
    if (r < 0)
        return r;
    reading.answers = calloc(reading.count + 1, sizeof *reading.answers);
    reading.ends = calloc(reading.count + 1, sizeof *reading.ends);
    if (!reading.answers || !reading.ends)
        r = why_set(why, -ENOMEM, "no memory for %llu answers", (unsigned long long)reading.count);
    if (r == 0)
        r = walk(&reading, file, note_end, why);
    if (r == 0)
        r = walk(&reading, file, take, why);
    for (uint64_t i = 0; reading.answers && i < reading.count; i++)
        if (r == 0 && reading.answers[i])
            finish(&reading, reading.answers[i]);
        else
            answer_free(reading.answers[i]);
    free(reading.answers);
    free(reading.ends);
    if (r == 0 && options->only && ret_sums->answers == 0)
        return why_set(why, -ENOENT, "there is no answer %llu in it: they are %llu to %llu", (unsigned long long)options->only,
                       (unsigned long long)reading.first, (unsigned long long)(reading.first + reading.count - 1));
    return r;
}
