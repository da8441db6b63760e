/* The framing of events that all voices share: see answer_event.h. */
#include "answer_event.h"

#include "voice.h"

void event_line_end(const struct answer *answer, struct bytes *out)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};

    bytes_puts(out, ends[answer->spec.eol]);
}

/* A line of JSON ends once; an event ends with a blank line. */
static void ends(const struct answer *answer, struct bytes *out)
{
    event_line_end(answer, out);
    if (!answer->voice->lines && !answer->array)
        event_line_end(answer, out);
}

/* With eof=noeol each event's line end comes with the next event, so that the last one never gets its own. */
void event_open(struct answer *answer, struct bytes *out)
{
    if (answer->eol_owed) {
        ends(answer, out);
        answer->eol_owed = false;
    }
    answer->event_at = out->len;
}

/* Ends the event; the Nth one may have to be broken, which is done in the constant part so that no character is. */
void event_close(struct answer *answer, struct bytes *out)
{
    if (++answer->events == answer->spec.malformed && answer->event_at < out->len) {
        size_t cut = answer->event_at + answer->open.len - 6;
        out->len = answer->voice == &voice_openai && cut < out->len ? cut : out->len - 1;
    }
    if (answer->spec.eof_noeol) {
        answer->eol_owed = true;
        return;
    }
    ends(answer, out);
}

void event_comment(struct answer *answer, struct bytes *out)
{
    event_open(answer, out);
    bytes_puts(out, ": keep-alive");
    event_line_end(answer, out);
    event_line_end(answer, out);
}


void event_named(struct answer *answer, struct bytes *out, const char *name)
{
    event_open(answer, out);
    bytes_printf(out, "event: %s", name);
    event_line_end(answer, out);
    bytes_puts(out, "data: ");
}

void event_text(struct bytes *out, const char *member, const struct bytes *text)
{
    bytes_printf(out, "\"%s\":\"", member);
    bytes_json(out, text->data, text->len);
    bytes_puts(out, "\"");
}
