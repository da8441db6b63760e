/* plugin-check/check_rig.h - one check's stage: the plugin in a fake host, its scripted answers, its clients; in a process of its own. */
#ifndef CHECK_RIG_H
#define CHECK_RIG_H

#include "tools/plugin-check/check_wire.h"
#include "tools/plugin-check/fake_host.h"

#define RIG_CLIENTS_MAX 4u

struct rig {
    const struct umbel_transport *transport;
    const struct plan *plan;
    struct fake_host *host;
    int port;
    struct wire *clients[RIG_CLIENTS_MAX]; /* pumped by rig_turn */
    bool deaf;                             /* they do not read */
    uint32_t refuse;                       /* UMBEL_ERROR_* for the next questions; 0 = answer */
    unsigned asked;
    struct fake_stream *stream; /* of the last question */
    uint64_t patience_s;
};

/* Ends this check, and its process. */
_Noreturn void rig_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void rig_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
void rig_note(const char *format, ...) __attribute__((format(printf, 1, 2))); /* said beside "ok" */

void rig_open(struct rig *rig);  /* a fresh host with the plugin; fails the check if it does not open */
void rig_close(struct rig *rig); /* all clients, the plugin, the host */
/* rig_turn - the clients and one turn of the host; fails the check when the turn does not end within the patience. */
void rig_turn(struct rig *rig, int wait_ms);

/* rig_client - a new client, connected and, if key is not NULL, let in as far as the plan says (HTTP: only connected). */
void rig_client(struct rig *rig, struct wire *wire, const char *key, int receive_buffer);
void rig_leave(struct rig *rig, struct wire *wire, bool reset);

/* rig_ask - asks and waits until the question has come; rig->stream is its answer, if it is not refused. */
void rig_ask(struct rig *rig, struct wire *wire);
/* rig_end_of - waits for the end of the answer: terminals above the given number, or an error, or an HTTP body's end. */
void rig_end_of(struct rig *rig, struct wire *wire, unsigned terminals);
/* rig_talk - a whole conversation with a new client; fails the check if it does not go well.  when: for the failure. */
void rig_talk(struct rig *rig, const char *when);

uint64_t rig_now_s(void);
uint64_t rig_patience_s(void); /* how long a condition is waited for; UMBEL_PLUGIN_CHECK_PATIENCE_S says otherwise */
size_t rig_heap(void);  /* bytes in use, 0 if a sanitizer keeps them from us */
unsigned rig_fds(void); /* open descriptors */
bool rig_has_sanitizer(void);

/* RIG_UNTIL - turns until the condition holds, else fails with these words. */
#define RIG_UNTIL(rig, condition, ...)                                                                                              \
    do {                                                                                                                            \
        uint64_t rig_end_s = rig_now_s() + (rig)->patience_s;                                                                       \
        while (!(condition) && rig_now_s() <= rig_end_s)                                                                            \
            rig_turn(rig, 2);                                                                                                       \
        if (!(condition))                                                                                                           \
            rig_fail(__VA_ARGS__);                                                                                                  \
    } while (0)

#endif
