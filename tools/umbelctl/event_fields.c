/* What the parts of an event are called, and how one is shown. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tools/umbelctl/events.h"
#include "tools/umbelctl/text.h"

#define KIND_WORD(id, word, by, help) word,
#define KIND_HELP(id, word, by, help) help,
static const char *const kinds[TRAIL_KIND_COUNT] = {"", TRAIL_KINDS(KIND_WORD)};
static const char *const kind_helps[TRAIL_KIND_COUNT] = {"", TRAIL_KINDS(KIND_HELP)};
/* by UMBEL_VERDICT_*, UMBEL_FINISH_*, UMBEL_ERROR_* */
static const char *const verdicts[] = {"", "complete", "truncated", "failed", "cancelled"};
static const char *const finishes[] = {"", "stop", "length", "filter", "tool", "other"};
static const char *const errors[] = {"",         "auth",    "quota",    "rate",      "busy",    "bad_request",
                                     "upstream", "timeout", "internal", "not_found", "position"};

enum { F_KIND, F_APP, F_TRANSPORT, F_UPSTREAM, F_HOST, F_STREAM, F_VERDICT, F_FINISH, F_ERROR, F_REASON, F_VALUES };
_Static_assert(F_VALUES == EVENT_FIELDS_FIXED, "every field is counted");

#define COUNT_OF(words) (sizeof(words) / sizeof(words)[0])
#define TEXT_FIELD(name, help) {name, name, FIELD_TEXT, NULL, 0, help}
#define WORD_FIELD(name, words, help) {name, name, FIELD_WORD, words, COUNT_OF(words), help}
#define VALUE_DURATION(name) name "_ns"
#define VALUE_SIZE(name) name
#define VALUE_NUMBER(name) name
#define VALUE_FIELD(id, name, type, help) {name, VALUE_##type(name), FIELD_##type, NULL, 0, help},

const struct event_field event_fields[EVENT_FIELD_COUNT] = {
    WORD_FIELD("kind", kinds, "what happened"),
    TEXT_FIELD("app", "the app"),
    TEXT_FIELD("transport", "where it was asked, or delivered"),
    TEXT_FIELD("upstream", "the upstream it is about"),
    TEXT_FIELD("host", "the host process it is about"),
    TEXT_FIELD("stream", "the answer's id"),
    WORD_FIELD("verdict", verdicts, "how the answer ended"),
    WORD_FIELD("finish", finishes, "why the upstream stopped"),
    WORD_FIELD("error", errors, "what kind of error it was"),
    TEXT_FIELD("reason", "more about it"),
    TRAIL_VALUES(VALUE_FIELD)};

int event_field_named(const char *name, size_t size)
{
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++)
        if (strlen(event_fields[i].name) == size && memcmp(event_fields[i].name, name, size) == 0)
            return (int)i;
    return -1;
}

static const char *word(const char *const *words, size_t count, unsigned code)
{
    return code < count ? words[code] : "other";
}

const char *event_kind_word(unsigned kind)
{
    return word(kinds, TRAIL_KIND_COUNT, kind);
}

const char *event_kind_help(unsigned kind)
{
    return word(kind_helps, TRAIL_KIND_COUNT, kind);
}

const char *event_text(const struct ctl_event *event, unsigned field)
{
    const struct trail_record *record = &event->record;

    switch (field) {
    case F_KIND:
        return event_kind_word(record->kind);
    case F_APP:
        return record->text[TRAIL_T_APP];
    case F_TRANSPORT:
        return record->text[TRAIL_T_TRANSPORT];
    case F_UPSTREAM:
        return record->text[TRAIL_T_UPSTREAM];
    case F_HOST:
        return record->text[TRAIL_T_HOST];
    case F_STREAM:
        return event->id;
    case F_VERDICT:
        return word(verdicts, COUNT_OF(verdicts), record->verdict);
    case F_FINISH:
        return word(finishes, COUNT_OF(finishes), record->finish);
    case F_ERROR:
        return word(errors, COUNT_OF(errors), record->error);
    case F_REASON:
        return record->text[TRAIL_T_REASON];
    default:
        return "";
    }
}

uint64_t event_value(const struct ctl_event *event, unsigned field)
{
    return field >= F_VALUES && field < EVENT_FIELD_COUNT ? event->record.value[field - F_VALUES] : 0;
}

static const char *colour_of(const struct ctl_event *event)
{
    switch (event->record.kind) {
    case TRAIL_HOST_DIED:
    case TRAIL_HOST_HELD:
    case TRAIL_BREAKER_OPEN:
    case TRAIL_RELOAD_REFUSED:
        return "\033[31m";
    case TRAIL_RETRY:
    case TRAIL_FAILOVER:
    case TRAIL_REFUSED:
    case TRAIL_LIMIT:
    case TRAIL_SLOW_CLOSED:
        return "\033[33m";
    case TRAIL_ENDED:
        return event->record.verdict == 1 ? "\033[32m" : event->record.verdict == 4 ? "" : "\033[31m";
    default:
        return "";
    }
}

static void put_text(const char *text, struct umbel_out *out)
{
    char clean[128];

    text_clean(text, strlen(text), 0, clean, sizeof clean);
    umbel_out_text(out, clean);
}

void event_line(const struct ctl_event *event, bool colour, struct umbel_out *out)
{
    time_t when = (time_t)(event->record.wall_ms / 1000);
    const char *paint = colour ? colour_of(event) : "";
    char text[64] = "?";
    struct tm local;

    if (localtime_r(&when, &local))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    umbel_out_printf(out, "%s.%03u  %s%-15s%s", text, (unsigned)(event->record.wall_ms % 1000), paint, event_kind_word(event->record.kind),
                     *paint ? "\033[0m" : "");
    for (unsigned i = F_APP; i < EVENT_FIELD_COUNT; i++) {
        const struct event_field *field = &event_fields[i];
        uint64_t value = event_value(event, i);

        if (i < F_VALUES ? !*event_text(event, i) : value == 0)
            continue;
        umbel_out_printf(out, " %s=", field->name);
        if (field->type == FIELD_DURATION)
            text_duration(value, text, sizeof text);
        else if (field->type == FIELD_SIZE)
            text_bytes(value, text, sizeof text);
        else
            snprintf(text, sizeof text, "%" PRIu64, value);
        for (char *space = text; i >= F_VALUES && *space; space++) /* one word a value */
            if (*space == ' ')
                memmove(space, space + 1, strlen(space));
        put_text(i < F_VALUES ? event_text(event, i) : text, out);
    }
}

void event_json(const struct ctl_event *event, struct umbel_out *out)
{
    time_t when = (time_t)(event->record.wall_ms / 1000);
    char text[64] = "";
    struct tm utc;

    if (gmtime_r(&when, &utc))
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    umbel_out_printf(out, "{\"time\":\"%s.%03uZ\",\"source\":", text, (unsigned)(event->record.wall_ms % 1000));
    umbel_out_json(out, event->source, strlen(event->source));
    umbel_out_printf(out, ",\"number\":%" PRIu64, event->number);
    for (unsigned i = 0; i < EVENT_FIELD_COUNT; i++) {
        const char *told = event_text(event, i);

        if (i < F_VALUES && *told) {
            umbel_out_printf(out, ",\"%s\":", event_fields[i].json);
            umbel_out_json(out, told, strlen(told));
        } else if (i >= F_VALUES && event_value(event, i)) {
            umbel_out_printf(out, ",\"%s\":%" PRIu64, event_fields[i].json, event_value(event, i));
        }
    }
    umbel_out_text(out, "}");
}
