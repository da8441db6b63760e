/* umbelctl/events.h - the event rings of a daemon and its hosts (core/metrics/trail.h), read together.  Works while the daemon is stopped, and
 * after its death for as long as the files are there. */
#ifndef EVENTS_H
#define EVENTS_H

#include <stdbool.h>
#include <umbel/out.h>

#include "core/metrics/trail_view.h"
#include "tools/umbelctl/ctl.h"

#define EVENTS_SOURCES_MAX 257u /* the core and its hosts */

struct ctl_event {
    struct trail_record record;
    uint64_t number;      /* in its ring */
    char source[80];      /* "core", or a host's name */
    char id[42];          /* of the answer, "" none */
};

/* ---- fields: what a line, a JSON member and an expression call the parts of an event ---- */

enum field_type { FIELD_TEXT, FIELD_WORD, FIELD_DURATION, FIELD_SIZE, FIELD_NUMBER };

struct event_field {
    const char *name, *json; /* json: with its unit */
    enum field_type type;
    const char *const *words; /* FIELD_WORD: what it can be; [0] is "" */
    size_t word_count;
    const char *help;
};
#define EVENT_FIELDS_FIXED 10u
#define EVENT_FIELD_COUNT (EVENT_FIELDS_FIXED + (unsigned)TRAIL_VALUE_COUNT)
extern const struct event_field event_fields[EVENT_FIELD_COUNT];

/* event_field_named - its index, or -1. */
int event_field_named(const char *name, size_t size);
/* event_text - TEXT and WORD fields; "" if it was not told.  event_value - the others; 0 if it was not told. */
const char *event_text(const struct ctl_event *event, unsigned field);
uint64_t event_value(const struct ctl_event *event, unsigned field);

const char *event_kind_word(unsigned kind);
const char *event_kind_help(unsigned kind);

/* event_line - for people, without a line's end.  event_json - one object; what was not told is left out. */
void event_line(const struct ctl_event *event, bool colour, struct umbel_out *out);
void event_json(const struct ctl_event *event, struct umbel_out *out);

/* ---- reading ---- */

struct events_source {
    char name[80], path[512];
    struct trail_view *view;
    uint64_t next;
    bool host, seen;
};

struct events {
    const char *runtime_dir;
    struct events_source source[EVENTS_SOURCES_MAX];
    size_t sources;
    struct ctl_event *event; /* of the last poll, in the order of time */
    size_t count, capacity;
    uint64_t lost; /* overwritten before they were read, or damaged, so far */
    bool failed;   /* memory ran out: events are missing */
};

/* events_open - CTL_OK, or the exit code after a complaint: nobody has left events there. */
int events_open(const struct ctl *ctl, struct events *ret_events);
/* events_poll - reads what is new (the first time: everything) into events->event.  An ENDED whose deliveries are among them gets the worst
 * of the hosts' lags. */
void events_poll(struct events *events);
void events_close(struct events *events);

#endif
