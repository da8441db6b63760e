/* umbel-replay - a capture through the real parsers once more; umbelctl runs it for `umbelctl replay`.  A program of its own, because it links
 * the parsers and the engine around them, which umbelctl does without, and because what it reads comes from strangers. */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <umbel/json.h>

#include "core/capture/capture_format.h"
#include "core/upstream/upstream_replay.h"

#define REPLAY_TEXT_MAX ((size_t)64 << 20) /* of one answer; answer_max_bytes bounds it before */

enum replay_result { REPLAY_IDENTICAL, REPLAY_DIFFERENT, REPLAY_UNFINISHED, REPLAY_NOTHING };

struct replay_options {
    bool every_byte;
    uint64_t only; /* answer's number in the file, 0: all */
    bool json;
};

struct replay_answer {
    uint64_t number;
    struct umbel_json *begin, *end; /* end NULL: the capture ended first */
    struct upstream_replay *replay;
    struct umbel_out text, reasoning, tools;
    uint64_t begun_us, first_us, last_us, bytes;
    struct upstream_record_end now;
    enum replay_result result;
    char differs[256]; /* what is not as it was recorded */
};

struct replay_sums {
    uint64_t answers, count[4];
    struct span info, stop;  /* JSON; empty: not there */
    char damage[WHY_MAX];    /* of the file; "" none */
    bool cut;                /* it ends within a record */
};

/* replay_file - answers in the order of their ends; done is called for each.  0; -errno with words: nothing could be read. */
int replay_file(struct span file, const struct replay_options *options, void (*done)(void *owner, const struct replay_answer *answer),
                void *owner, struct replay_sums *ret_sums, struct why *why);

const char *replay_result_word(enum replay_result result);
const char *replay_verdict_word(const struct upstream_record_end *end);

/* replay_report.c */
void report_answer(const struct replay_answer *answer, const struct replay_options *options, bool with_text, struct umbel_out *out);
void report_sums(const struct replay_sums *sums, const struct replay_options *options, struct umbel_out *out);

#endif
