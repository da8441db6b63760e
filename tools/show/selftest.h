/* umbel-selftest - asks over every transport of a running umbeld as its clients do, and judges what comes.  umbelctl runs it for
 * `umbelctl selftest`.
 *
 *   admin socket: "selftest" -> a key that is good for as long as this connection lasts, and the list of transports
 *   a canary: this program serves a known answer on 127.0.0.1, which umbeld calls like any model service
 *   a client of the transport's own protocol for each address; all ask at once
 * Owner of everything: one thread with an event base. */
#ifndef SELFTEST_H
#define SELFTEST_H

#include <umbel/json.h>

#include "tools/show/show_client.h"

#define SELFTEST_TRIALS_MAX 64u /* addresses times protocols; further ones are not tested, and told so */
#define SELFTEST_AFTER_MS 250u /* so long it is listened after the last end */
#define SELFTEST_WAIT_S 20u
#define SELFTEST_LIVE_S 150u

enum selftest_result { SELFTEST_OK, SELFTEST_FAIL, SELFTEST_SKIPPED };

/* One transport, address and protocol. */
struct selftest_trial {
    char transport[128], plugin[128], address[128], host[160], path[256], question[96], session[64];
    const char *protocol_name; /* "" for those without a client of their own */
    struct show_ask ask;
    struct show_client client;
    bool runs; /* client was started */
    bool tls;
    int certificate_days;      /* tls: until it expires, once the handshake is done */
    bool has_certificate;
    uint64_t sent_ns, ended_ns; /* when the canary had given its last piece; when the client had its end */
    enum selftest_result result;
    char what[300];  /* why */
    const char *advice;
};

struct selftest {
    const char *runtime_dir, *only, *live, *app;
    bool json;
    struct event_base *base;
    struct ssl_ctx_st *tls;
    struct selftest_canary *canary;
    int admin; /* the connection that keeps the key alive */
    char key[128], model[256];
    struct selftest_trial trials[SELFTEST_TRIALS_MAX];
    size_t count, left_out;
};

/* ---- selftest_admin.c ---- */

/* admin_open - asks for a key; reply: the "open" event, to be freed by the caller.  0; 1 failed, 3 not running: the complaint is printed. */
int selftest_open(struct selftest *test, unsigned port, struct umbel_json **ret_open);
/* selftest_im_check - umbelctl's im check for one transport.  True: good; ret_what: what it said otherwise. */
bool selftest_im_check(const struct selftest *test, const char *transport, char *ret_what, size_t room);

/* ---- selftest_canary.c ---- */

struct selftest_canary;
extern const char selftest_text[]; /* what it answers */
/* canary_open - serves on 127.0.0.1:*ret_port.  The question "canary N" is that of trial N, whose sent_ns it sets.  NULL: it cannot. */
struct selftest_canary *canary_open(struct selftest *test, unsigned *ret_port);
void canary_close(struct selftest_canary *canary); /* NULL is fine */

/* ---- selftest_report.c ---- */

void selftest_judge(const struct selftest *test, struct selftest_trial *trial);
/* selftest_report - prints all; returns how many failed. */
size_t selftest_report(const struct selftest *test);

#endif
