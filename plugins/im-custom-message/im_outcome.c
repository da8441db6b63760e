/* im-custom-message/im_outcome.c - what each class of outcome does.  See im_answer.h. */
#include "im_outcome.h"

#include <stdio.h>
#include <string.h>

#include "im_pace.h"

#define MS 1000000ull
#define OTHER_TRIES 5u
#define SKIPS_MAX 3u
#define SHRINKS_MAX 8u

static uint32_t chance(struct im_answer *answer)
{
    uint64_t x = answer->chance;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    answer->chance = x;
    return (uint32_t)(x >> 32);
}

void im_outcome_new_message(struct im_answer *answer)
{
    answer->exists = answer->repeat = false;
    answer->key[0] = 0;
    answer->seq = chance(answer) & 0x7fffffff;
    answer->random = chance(answer) & 0x7fffffff;
    answer->shown = answer->reached = 0;
    answer->pieces = 0;
    if (!answer->limit)
        answer->limit = IM_LIMIT;
    if (answer->mode == IM_TIM_STREAM && answer->shrinks == 0)
        answer->limit = IM_LIMIT_STREAM;
    else if (answer->limit > IM_LIMIT)
        answer->limit = IM_LIMIT;
}

static void clear_failures(struct im_answer *answer)
{
    answer->tries = answer->conflicts = answer->skips = answer->closings = answer->others = 0;
    answer->failing_since_ns = 0;
    answer->signed_again = answer->waited_minute = answer->quiet = false;
}

void im_outcome_end_part(struct im_answer *answer, size_t to, bool more)
{
    char open[IM_FENCE_MAX] = "", close[IM_FENCE_MAX];

    if (more)
        im_text_fence(answer->head, answer->text.size ? answer->text.data : "", to, open, close);
    memcpy(answer->head, open, sizeof open);
    if (to)
        memmove(answer->text.data, answer->text.data + to, answer->text.size - to);
    answer->text.size -= to;
    answer->base += to;
    answer->parts++;
    answer->gone = 0;
    answer->mode = answer->wanted;
    im_outcome_new_message(answer);
}

void im_outcome_give_up(struct im_answer *answer)
{
    answer->over = answer->gave_up = answer->deaf = true;
    answer->repeat = false;
}

static void wait_ms(struct im_answer *answer, uint64_t now_ns, uint64_t ms)
{
    if (answer->not_before_ns < now_ns + ms * MS)
        answer->not_before_ns = now_ns + ms * MS;
}

static void again_later(struct im_answer *answer, uint64_t now_ns, uint32_t with)
{
    wait_ms(answer, now_ns, im_backoff_ms(answer->tries++, with));
}

/* After the last text of the answer: over, or words to say in a message of their own. */
static void finish_answer(struct im_answer *answer)
{
    im_outcome_end_part(answer, answer->text.size, false);
    if (answer->ending != IM_FAILED)
        answer->over = true;
}

static void accepted(struct im_answer *answer, const struct im_step *step, const struct im_told *told, uint64_t now_ns)
{
    clear_failures(answer);
    if (answer->stretched_ms > answer->interval_ms) /* back to the usual interval, slowly */
        answer->stretched_ms -= (answer->stretched_ms - answer->interval_ms + 7) / 8;
    answer->last_ok_ns = now_ns;
    answer->repeat = false;
    if (step->call == IM_CALL_ERROR) {
        answer->over = true;
        return;
    }
    if (!answer->exists && told->key)
        snprintf(answer->key, sizeof answer->key, "%s", told->key);
    answer->exists = true;
    if (step->call == IM_CALL_PIECE || step->call == IM_CALL_CHUNK)
        answer->pieces++;
    if (answer->shown < step->to)
        answer->shown = step->to;
    if (answer->reached < answer->shown)
        answer->reached = answer->shown;
    if (!step->final)
        return;
    if (step->to < answer->text.size)
        im_outcome_end_part(answer, step->to, true);
    else if (answer->ending == IM_RUNNING) /* full to the byte; more may come */
        im_outcome_end_part(answer, step->to, true);
    else
        finish_answer(answer);
}

/* Nobody knows whether it was done. */
static void unclear(struct im_answer *answer, const struct im_step *step, const struct im_told *told, uint64_t now_ns)
{
    again_later(answer, now_ns, told->chance);
    switch (step->call) {
    case IM_CALL_SEND:
    case IM_CALL_TEXT:
    case IM_CALL_ERROR:
        answer->repeat = true; /* the same MsgSeq, MsgRandom and text: the service drops the second one */
        return;
    case IM_CALL_MODIFY: /* the newest snapshot heals it, whatever happened to this one */
        if (answer->reached < step->to)
            answer->reached = step->to;
        return;
    case IM_CALL_PIECE: /* repeated it might stand there twice: the whole text by modify, in a new message if there is no key */
        answer->mode = IM_MODIFY;
        if (!answer->exists)
            im_outcome_new_message(answer);
        else if (answer->reached < step->to)
            answer->reached = step->to;
        return;
    case IM_CALL_CHUNK:
        if (!answer->exists || step->final) {
            answer->repeat = true; /* it has MsgSeq and MsgRandom as well; after the last one the service refuses a second, see gone() */
            return;
        }
        answer->mode = IM_MODIFY; /* the old one is ended by the service in 15 s */
        im_outcome_new_message(answer);
        return;
    }
}

/* The text is not wanted: the message is finished with what was accepted, then a message of its own says so. */
static void refused(struct im_answer *answer, const struct im_step *step)
{
    answer->deaf = true;
    answer->repeat = false;
    if (step->call == IM_CALL_ERROR || answer->refusals++ > 1) {
        im_outcome_give_up(answer);
        return;
    }
    answer->ending = IM_FAILED;
    answer->words = answer->refused_words;
    answer->text.size = answer->exists ? answer->shown : 0;
    answer->reached = answer->text.size;
    if (answer->exists && answer->refusals > 1) { /* not even that can be finished */
        answer->abandoned++;
        im_outcome_end_part(answer, answer->text.size, false);
    } else if (!answer->exists) {
        im_outcome_new_message(answer);
    }
}

static void too_long(struct im_answer *answer, const struct im_step *step)
{
    struct im_step whole = *step;
    struct umbel_out content = {0};

    whole.from = 0;
    im_answer_content(answer, &whole, &content);
    size_t cost = im_text_cost(IM_ESCAPE_TWICE, content.size ? content.data : "", content.size) + 256;
    umbel_out_free(&content);
    answer->repeat = false;
    if (answer->exists && step->final && step->to <= answer->reached) {
        answer->abandoned++; /* it cannot even be finished as it stands: the answer goes on in a new message */
        im_outcome_end_part(answer, answer->shown, true);
        return;
    }
    size_t limit = (cost < answer->limit ? cost : answer->limit) / 4 * 3;
    if (step->call == IM_CALL_ERROR || answer->limit == IM_LIMIT_MIN || ++answer->shrinks > SHRINKS_MAX) {
        refused(answer, step);
        return;
    }
    answer->limit = limit > IM_LIMIT_MIN ? limit : IM_LIMIT_MIN;
}

static void gone(struct im_answer *answer, const struct im_step *step, const struct im_told *told, uint64_t now_ns)
{
    if (step->call == IM_CALL_CHUNK && step->final && answer->repeat) { /* it had arrived */
        accepted(answer, step, told, now_ns);
        return;
    }
    again_later(answer, now_ns, told->chance);
    if (answer->gone++ > 0) {
        im_outcome_give_up(answer);
        return;
    }
    if (answer->mode == IM_STREAM)
        answer->mode = IM_MODIFY;
    im_outcome_new_message(answer);
}

/* The same call must not be made again.  A snapshot in between is simply left out; the call that finishes a message that exists is a
 * different matter, because the user cannot type before it: it is tried again a few times, much later each time. */
static void not_again(struct im_answer *answer, const struct im_step *step, uint64_t now_ns)
{
    static const uint32_t later_ms[IM_CLOSINGS] = {1000, 5000, 25000};

    answer->repeat = false;
    if (!answer->exists || step->call == IM_CALL_ERROR) {
        im_outcome_give_up(answer);
        return;
    }
    if (!step->final) {
        answer->quiet = ++answer->skips >= SKIPS_MAX;
        answer->failing_since_ns = 0; /* it is not tried again: the message waits for its end */
        return;
    }
    if (answer->closings == IM_CLOSINGS) {
        im_outcome_give_up(answer);
        return;
    }
    wait_ms(answer, now_ns, later_ms[answer->closings++]);
}

static void conflict(struct im_answer *answer, const struct im_step *step, const struct im_told *told, uint64_t now_ns)
{
    if (answer->conflicts++ == 0)
        wait_ms(answer, now_ns, 50); /* this snapshot again, at once */
    else if (step->final)
        again_later(answer, now_ns, told->chance);
    else
        answer->due_ns = now_ns + answer->stretched_ms * MS;
}

void im_answer_done(struct im_answer *answer, enum im_class class_, const struct im_told *told, uint64_t now_ns)
{
    struct im_step step = answer->step;

    answer->busy = false;
    if (class_ != IM_OK && !answer->failing_since_ns)
        answer->failing_since_ns = now_ns ? now_ns : 1;
    switch (class_) {
    case IM_OK:
        accepted(answer, &step, told, now_ns);
        return;
    case IM_TRANSIENT:
        again_later(answer, now_ns, told->chance);
        return;
    case IM_UNCLEAR:
        unclear(answer, &step, told, now_ns);
        return;
    case IM_VOLUME: /* the owner holds back all calls; this one waits for that */
    case IM_RATE:
        answer->stretched_ms = answer->stretched_ms * 3 / 2 < IM_INTERVAL_MAX_MS ? answer->stretched_ms * 3 / 2 : IM_INTERVAL_MAX_MS;
        wait_ms(answer, now_ns, 1000 + told->chance % 250);
        return;
    case IM_SIGNATURE:
        answer->renew_sig = !answer->signed_again;
        if (answer->signed_again)
            not_again(answer, &step, now_ns);
        answer->signed_again = true;
        return;
    case IM_ACCOUNT_LATER:
        if (answer->waited_minute)
            not_again(answer, &step, now_ns);
        else
            wait_ms(answer, now_ns, 60000);
        answer->waited_minute = true;
        return;
    case IM_CONTENT:
        refused(answer, &step);
        return;
    case IM_TOO_LONG:
        too_long(answer, &step);
        return;
    case IM_GONE:
        gone(answer, &step, told, now_ns);
        return;
    case IM_CONFLICT:
        conflict(answer, &step, told, now_ns);
        return;
    case IM_OTHER:
        if (answer->others++ < OTHER_TRIES)
            again_later(answer, now_ns, told->chance);
        else
            not_again(answer, &step, now_ns);
        return;
    default: /* CONFIGURATION, ACCOUNT, RELATION */
        not_again(answer, &step, now_ns);
        return;
    }
}
