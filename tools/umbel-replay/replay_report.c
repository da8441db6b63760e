#include <string.h>

#include "tools/umbel-replay/replay.h"

static void put_member(struct umbel_out *out, const char *name, const char *text)
{
    umbel_out_printf(out, ",\"%s\":", name);
    umbel_out_json(out, text, strlen(text));
}

static void put_bytes(struct umbel_out *out, const char *name, const struct umbel_out *bytes)
{
    umbel_out_printf(out, ",\"%s\":", name);
    umbel_out_json(out, bytes->data ? bytes->data : "", bytes->size);
}

static void report_json(const struct replay_answer *answer, struct umbel_out *out)
{
    const struct upstream_digest *digest = &answer->now.digest;
    static const char *const members[] = {"upstream", "dialect", "model", "app", "stream"};

    umbel_out_printf(out, "{\"answer\":%llu", (unsigned long long)answer->number);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        put_member(out, members[i], umbel_json_member_text(answer->begin, members[i], ""));
    put_member(out, "result", replay_result_word(answer->result));
    put_member(out, "differs", answer->differs);
    put_member(out, "verdict", replay_verdict_word(&answer->now));
    put_member(out, "error", answer->now.text);
    put_member(out, "ended_by", upstream_record_how_word(answer->now.how));
    umbel_out_printf(out, ",\"bytes\":%llu,\"events\":%llu,\"digest\":\"%016llx\"", (unsigned long long)answer->bytes,
                     (unsigned long long)digest->events, (unsigned long long)digest->sum);
    if (digest->usage)
        umbel_out_printf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"completion_tokens\":%llu}", (unsigned long long)digest->prompt_tokens,
                         (unsigned long long)digest->completion_tokens);
    else
        umbel_out_text(out, ",\"usage\":null");
    umbel_out_printf(out, ",\"first_byte_us\":%llu,\"last_byte_us\":%llu",
                     (unsigned long long)(answer->bytes ? answer->first_us - answer->begun_us : 0),
                     (unsigned long long)(answer->bytes ? answer->last_us - answer->begun_us : 0));
    put_bytes(out, "text", &answer->text);
    put_bytes(out, "reasoning", &answer->reasoning);
    umbel_out_text(out, ",\"tools\":[");
    umbel_out_put(out, answer->tools.data ? answer->tools.data : "", answer->tools.size);
    umbel_out_text(out, "]}");
}

/* What a service sent goes to a terminal without what moves cursors there. */
static void put_clean(struct umbel_out *out, const struct umbel_out *text)
{
    for (size_t i = 0; i < text->size; i++) {
        unsigned char c = (unsigned char)text->data[i];
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
                       (c == 0xc2 && i + 1 < text->size && (unsigned char)text->data[i + 1] < 0xa0);

        if (control && c == 0xc2)
            i++;
        if (control)
            umbel_out_text(out, "?");
        else
            umbel_out_put(out, text->data + i, 1);
    }
}

static void put_word(struct umbel_out *out, const char *text)
{
    struct umbel_out bytes = {.data = (char *)(uintptr_t)text, .size = strlen(text)};

    put_clean(out, &bytes);
}

void report_answer(const struct replay_answer *answer, const struct replay_options *options, bool with_text, struct umbel_out *out)
{
    const struct upstream_digest *digest = &answer->now.digest;

    if (options->json) {
        report_json(answer, out);
        return;
    }
    umbel_out_printf(out, "%llu  %s  ", (unsigned long long)answer->number, replay_result_word(answer->result));
    put_word(out, umbel_json_member_text(answer->begin, "upstream", ""));
    umbel_out_text(out, " (");
    put_word(out, umbel_json_member_text(answer->begin, "dialect", ""));
    umbel_out_text(out, ")  ");
    put_word(out, umbel_json_member_text(answer->begin, "stream", ""));
    umbel_out_printf(out, "  %s  %llu bytes  %llu events  %llu bytes of text", replay_verdict_word(&answer->now),
                     (unsigned long long)answer->bytes, (unsigned long long)digest->events, (unsigned long long)digest->text_bytes);
    if (digest->usage)
        umbel_out_printf(out, "  %llu + %llu tokens", (unsigned long long)digest->prompt_tokens,
                         (unsigned long long)digest->completion_tokens);
    umbel_out_text(out, "\n");
    if (*answer->differs)
        umbel_out_printf(out, "   not as it was recorded: %s\n", answer->differs);
    if (*answer->now.text) {
        umbel_out_text(out, "   error: ");
        put_word(out, answer->now.text);
        umbel_out_text(out, "\n");
    }
    if (with_text && answer->text.size) {
        put_clean(out, &answer->text);
        umbel_out_text(out, "\n");
    }
}

void report_sums(const struct replay_sums *sums, const struct replay_options *options, struct umbel_out *out)
{
    if (options->json) {
        umbel_out_printf(out, "],\"identical\":%llu,\"different\":%llu,\"unfinished\":%llu,\"nothing\":%llu,\"cut\":%s",
                         (unsigned long long)sums->count[REPLAY_IDENTICAL], (unsigned long long)sums->count[REPLAY_DIFFERENT],
                         (unsigned long long)sums->count[REPLAY_UNFINISHED], (unsigned long long)sums->count[REPLAY_NOTHING],
                         options->every_byte ? "\"every-byte\"" : "\"as-captured\"");
        put_member(out, "damage", sums->damage);
        umbel_out_text(out, ",\"info\":");
        umbel_out_put(out, sums->info.size ? sums->info.data : "null", sums->info.size ? sums->info.size : 4);
        umbel_out_text(out, ",\"stop\":");
        umbel_out_put(out, sums->stop.size ? sums->stop.data : "null", sums->stop.size ? sums->stop.size : 4);
        umbel_out_text(out, "}\n");
        return;
    }
    umbel_out_printf(out, "%llu answers: %llu identical, %llu different", (unsigned long long)sums->answers,
                     (unsigned long long)sums->count[REPLAY_IDENTICAL], (unsigned long long)sums->count[REPLAY_DIFFERENT]);
    if (sums->count[REPLAY_UNFINISHED])
        umbel_out_printf(out, ", %llu unfinished when the capture ended", (unsigned long long)sums->count[REPLAY_UNFINISHED]);
    if (sums->count[REPLAY_NOTHING])
        umbel_out_printf(out, ", %llu that never reached the service", (unsigned long long)sums->count[REPLAY_NOTHING]);
    umbel_out_printf(out, "\n%s%s", sums->damage, *sums->damage ? "\n" : "");
}
