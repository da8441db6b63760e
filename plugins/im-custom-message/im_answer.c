/* im-custom-message/im_answer.c - what is sent next; the outcomes are in im_outcome.c.  See im_answer.h. */
#include "im_answer.h"

#include <stdio.h>
#include <string.h>

#include "im_outcome.h"

/* The serialised MsgBody without its text, at its longest. */
#define OVERHEAD_CUSTOM 140u
#define OVERHEAD_TEXT 64u
#define OVERHEAD_STREAM 320u
#define OVERHEAD_PIECE 8u        /* quotes and comma between two chunks, escaped */
#define OVERHEAD_CHUNK 72u       /* what stands around each Markdown */

void im_answer_init(struct im_answer *answer, enum im_mode mode, bool group, uint32_t interval_ms, uint32_t give_up_ms, uint64_t seed)
{
    if (group && mode == IM_STREAM)
        mode = IM_MODIFY; /* there is no such call for groups */
    *answer = (struct im_answer){.wanted = mode,
                                 .mode = mode,
                                 .group = group,
                                 .interval_ms = interval_ms,
                                 .stretched_ms = interval_ms,
                                 .give_up_ms = give_up_ms,
                                 .chance = seed ? seed : 1,
                                 .words = "",
                                 .refused_words = "The chat service did not accept the answer."};
    im_outcome_new_message(answer);
}

void im_answer_free(struct im_answer *answer)
{
    umbel_out_free(&answer->text);
}

int im_answer_take(struct im_answer *answer, const char *text, size_t size)
{
    if (!answer->deaf && answer->ending == IM_RUNNING)
        umbel_out_put(&answer->text, text, size);
    return answer->text.failed;
}

bool im_answer_is_full(const struct im_answer *answer)
{
    return answer->text.size >= answer->limit + IM_WAITING_MAX;
}

void im_answer_end(struct im_answer *answer, enum im_ending ending, const char *words)
{
    if (answer->ending != IM_RUNNING)
        return;
    answer->ending = ending;
    answer->words = words;
}

bool im_answer_is_first(const struct im_answer *answer)
{
    return !answer->exists && answer->parts == 0;
}

static size_t overhead_of(const struct im_answer *answer)
{
    switch (answer->mode) {
    case IM_TEXT:
        return OVERHEAD_TEXT;
    case IM_STREAM:
        return OVERHEAD_CUSTOM + (answer->pieces + 1) * OVERHEAD_PIECE;
    case IM_TIM_STREAM:
        return OVERHEAD_STREAM + (answer->pieces + 1) * OVERHEAD_CHUNK;
    default:
        return OVERHEAD_CUSTOM;
    }
}

static enum im_escape escape_of(const struct im_answer *answer)
{
    return answer->mode == IM_TEXT || answer->mode == IM_TIM_STREAM ? IM_ESCAPE_ONCE : IM_ESCAPE_TWICE;
}

static struct im_plan plan_of(const struct im_answer *answer)
{
    struct im_plan_input input = {.text = answer->text.size ? answer->text.data : "",
                                  .size = answer->text.size,
                                  .head = answer->head,
                                  .floor = answer->reached,
                                  .limit = answer->limit,
                                  .overhead = overhead_of(answer),
                                  .escape = escape_of(answer),
                                  .ended = answer->ending != IM_RUNNING};

    if (answer->ending == IM_INTERRUPTED) /* room for the note */
        input.overhead += 2 * IM_TAIL_MAX;
    return im_text_plan(&input);
}

/* What is put behind the text of a step that finishes the message. */
static void set_tail(const struct im_answer *answer, const struct im_plan *plan, struct im_step *step)
{
    char open[IM_FENCE_MAX], close[IM_FENCE_MAX];
    const char *text = answer->text.size ? answer->text.data : "";

    step->tail[0] = 0;
    if (!plan->full && answer->ending != IM_INTERRUPTED)
        return;
    im_text_fence(answer->head, text, plan->show, open, close);
    if (plan->full)
        snprintf(step->tail, sizeof step->tail, "%s", close);
    else
        snprintf(step->tail, sizeof step->tail, "%s\n%s", *close ? close : "\n", answer->words);
}

static void set_step(struct im_step *step, enum im_call call, size_t from, size_t to, bool final)
{
    step->call = call;
    step->from = from;
    step->to = to;
    step->final = final;
}

static enum im_call first_call(enum im_mode mode)
{
    switch (mode) {
    case IM_STREAM:
        return IM_CALL_PIECE;
    case IM_TIM_STREAM:
        return IM_CALL_CHUNK;
    case IM_TEXT:
        return IM_CALL_TEXT;
    default:
        return IM_CALL_SEND;
    }
}

/* All text is out, or there never was any: what remains to be said.  Nothing: the answer is over. */
static bool last_words(struct im_answer *answer, struct im_step *step)
{
    step->tail[0] = 0;
    if (answer->parts == 0 && answer->ending == IM_STOPPED) {
        umbel_out_reset(&answer->text); /* blanks at most */
        set_step(step, answer->mode == IM_TEXT ? IM_CALL_TEXT : IM_CALL_SEND, 0, 0, true);
        answer->mode = answer->mode == IM_TEXT ? IM_TEXT : IM_MODIFY;
        snprintf(step->tail, sizeof step->tail, "%s", answer->words);
        return true;
    }
    if (answer->parts == 0 || answer->ending == IM_FAILED || answer->ending == IM_INTERRUPTED) {
        umbel_out_reset(&answer->text);
        set_step(step, IM_CALL_ERROR, 0, 0, true);
        snprintf(step->tail, sizeof step->tail, "%s", answer->words);
        return true;
    }
    answer->over = true;
    return false;
}

static bool is_piecewise(const struct im_answer *answer)
{
    return answer->mode == IM_STREAM || answer->mode == IM_TIM_STREAM;
}

/* The part does not exist yet. */
static bool first_step(struct im_answer *answer, const struct im_plan *plan, struct im_step *step)
{
    const char *text = answer->text.size ? answer->text.data : "";
    bool final = plan->full || plan->last;
    size_t to = plan->show;

    if (plan->last && (answer->text.size == 0 || (answer->parts == 0 && im_text_is_blank(text, answer->text.size))))
        return last_words(answer, step);
    if (!final && (answer->mode == IM_TEXT || im_text_is_blank(text, to)))
        return false;
    if (!final && is_piecewise(answer)) {
        to = im_text_hold(text, 0, to);
        if (to == 0)
            return false;
    }
    set_step(step, first_call(answer->mode), 0, to, final);
    if (final)
        set_tail(answer, plan, step);
    return true;
}

/* The part exists and text is added to it by pieces. */
static bool next_piece(struct im_answer *answer, const struct im_plan *plan, uint64_t now_ns, struct im_step *step, uint64_t *when_ns)
{
    size_t to = plan->show;

    if (plan->full || plan->last) {
        set_tail(answer, plan, step);
        set_step(step, answer->mode == IM_STREAM ? IM_CALL_PIECE : IM_CALL_CHUNK, answer->shown, to, true);
        if (to == answer->shown && !*step->tail && answer->mode == IM_STREAM) { /* a last piece must not be empty */
            answer->mode = IM_MODIFY;
            set_step(step, IM_CALL_MODIFY, 0, to, true);
        }
        return true;
    }
    if (answer->quiet)
        return false;
    if (now_ns < answer->last_ok_ns + IM_HELD_NS) {
        if (to > answer->shown)
            *when_ns = answer->last_ok_ns + IM_HELD_NS;
        to = im_text_hold(answer->text.data, answer->shown, to);
    }
    if (to <= answer->shown)
        return false;
    set_step(step, answer->mode == IM_STREAM ? IM_CALL_PIECE : IM_CALL_CHUNK, answer->shown, to, false);
    return true;
}

static bool next_snapshot(struct im_answer *answer, const struct im_plan *plan, struct im_step *step)
{
    bool final = plan->full || plan->last;

    if (!final && (plan->show <= answer->shown || answer->quiet))
        return false;
    set_step(step, IM_CALL_MODIFY, 0, plan->show, final);
    if (final)
        set_tail(answer, plan, step);
    return true;
}

static bool choose(struct im_answer *answer, uint64_t now_ns, struct im_step *step, uint64_t *when_ns)
{
    step->tail[0] = 0;
    if (answer->exists && answer->mode == IM_TIM_STREAM && now_ns >= answer->last_ok_ns + IM_SILENCE_NS)
        im_outcome_end_part(answer, answer->shown, true); /* the service has ended it by itself */
    struct im_plan plan = plan_of(answer);
    if (!answer->exists)
        return first_step(answer, &plan, step);
    return is_piecewise(answer) ? next_piece(answer, &plan, now_ns, step, when_ns) : next_snapshot(answer, &plan, step);
}

/* After a restart less text has come back than had been shown: what there is counts. */
static void clamp(struct im_answer *answer)
{
    size_t size = answer->text.size;

    answer->shown = answer->shown < size ? answer->shown : size;
    answer->reached = answer->reached < size ? answer->reached : size;
    answer->step.to = answer->step.to < size ? answer->step.to : size;
}

bool im_answer_next(struct im_answer *answer, uint64_t now_ns, struct im_step *ret_step, uint64_t *ret_when_ns)
{
    *ret_when_ns = UINT64_MAX;
    if (answer->busy || answer->over)
        return false;
    if (answer->failing_since_ns && now_ns - answer->failing_since_ns >= answer->give_up_ms * 1000000ull) {
        im_outcome_give_up(answer);
        return false;
    }
    if (now_ns < answer->not_before_ns) {
        *ret_when_ns = answer->not_before_ns;
        return false;
    }
    if (answer->text.size < answer->need) {
        if (answer->ending == IM_RUNNING)
            return false;
        clamp(answer);
    }
    answer->need = 0;
    if (answer->repeat) {
        *ret_step = answer->step;
        return true;
    }
    if (!choose(answer, now_ns, ret_step, ret_when_ns))
        return false;
    if (!ret_step->final && now_ns < answer->due_ns) {
        *ret_when_ns = answer->due_ns;
        return false;
    }
    return true;
}

void im_answer_begin(struct im_answer *answer, const struct im_step *step, uint64_t now_ns)
{
    answer->step = *step;
    answer->busy = true;
    answer->due_ns = now_ns + answer->stretched_ms * 1000000ull;
    if (answer->mode == IM_TIM_STREAM)
        answer->not_before_ns = now_ns + 200 * 1000000ull; /* five a second, also for the last one */
}

void im_answer_content(const struct im_answer *answer, const struct im_step *step, struct umbel_out *out)
{
    if (step->from == 0 && step->to)
        umbel_out_text(out, answer->head);
    if (step->to > step->from)
        umbel_out_put(out, answer->text.data + step->from, step->to - step->from);
    umbel_out_text(out, step->tail);
}
