#include "core/upstream/upstream_joint.h"

#include <stdint.h>
#include <string.h>

void joint_begin(struct upstream_joint *joint, struct span text, size_t unseen)
{
    joint->tail_size = text.size < JOINT_MAX ? text.size : JOINT_MAX;
    memcpy(joint->tail, text.data + (text.size - joint->tail_size), joint->tail_size);
    joint->unseen = unseen <= joint->tail_size ? unseen : 0;
    joint->held_size = joint->left_out = 0;
    joint->open = joint->tail_size > 0;
}

/* What comes: bytes held and bytes at hand, as one. */
struct coming {
    struct span held, text;
};

static size_t coming_size(const struct coming *coming)
{
    return coming->held.size + coming->text.size;
}

/* Whether the first size bytes of what comes are these. */
static bool begins_with(const struct coming *coming, const char *bytes, size_t size)
{
    size_t first = size < coming->held.size ? size : coming->held.size;

    return memcmp(coming->held.data, bytes, first) == 0 && (size == first || memcmp(coming->text.data, bytes + first, size - first) == 0);
}

/* A pattern that stands at least twice in it. */
static bool is_pattern(const char *bytes, size_t size)
{
    uint16_t border[JOINT_MAX + 1] = {0}; /* of each prefix: its longest proper beginning that is also its end */

    for (size_t i = 1, k = 0; i < size; i++) {
        while (k > 0 && bytes[i] != bytes[k])
            k = border[k];
        k += bytes[i] == bytes[k];
        border[i + 1] = (uint16_t)k;
    }
    return 2 * (size - border[size]) <= size;
}

/* The longest repetition that is complete; 0: none. */
static size_t repeated(const struct upstream_joint *joint, const struct coming *coming)
{
    size_t k = coming_size(coming) < joint->tail_size ? coming_size(coming) : joint->tail_size;

    for (; k >= JOINT_MIN; k--) {
        const char *end = joint->tail + joint->tail_size - k;

        if (begins_with(coming, end, k) && !is_pattern(end, k))
            return k;
    }
    return 0;
}

/* White space that the service could not know was there: as much of it as comes again, in whole characters. */
static size_t again_unseen(const struct upstream_joint *joint, const struct coming *coming)
{
    const char *space = joint->tail + joint->tail_size - joint->unseen;
    size_t size = 0;

    while (size < joint->unseen && size < coming_size(coming) && begins_with(coming, space, size + 1))
        size++;
    while (size > 0 && size < joint->unseen && ((unsigned char)space[size] & 0xc0) == 0x80)
        size--;
    return size;
}

/* Whether what came is the beginning of a repetition that is longer. */
static bool may_be_longer(const struct upstream_joint *joint, const struct coming *coming)
{
    size_t size = coming_size(coming);

    if (size < joint->unseen && begins_with(coming, joint->tail + joint->tail_size - joint->unseen, size))
        return true;
    for (size_t k = joint->tail_size; k >= JOINT_MIN && k > size; k--)
        if (begins_with(coming, joint->tail + joint->tail_size - k, size))
            return true;
    return false;
}

static size_t decide(struct upstream_joint *joint, const struct coming *coming)
{
    size_t size = repeated(joint, coming);

    joint->open = false;
    joint->left_out = size > 0 ? size : again_unseen(joint, coming);
    return joint->left_out;
}

static struct span skip(struct span text, size_t *size)
{
    size_t here = *size < text.size ? *size : text.size;

    *size -= here;
    return span_of(text.data + here, text.size - here);
}

void joint_take(struct upstream_joint *joint, struct span text, struct span ret_pieces[2])
{
    struct coming coming = {span_of(joint->held, joint->held_size), text};

    ret_pieces[0] = span_of("", 0);
    ret_pieces[1] = text;
    if (!joint->open)
        return;
    if (may_be_longer(joint, &coming)) { /* so it is shorter than the tail, and there is room for it */
        memcpy(joint->held + joint->held_size, text.data, text.size);
        joint->held_size += text.size;
        ret_pieces[1] = span_of("", 0);
        return;
    }
    size_t left_out = decide(joint, &coming);
    ret_pieces[0] = skip(coming.held, &left_out);
    ret_pieces[1] = skip(coming.text, &left_out);
    joint->held_size = 0;
}

struct span joint_end(struct upstream_joint *joint)
{
    struct coming coming = {span_of(joint->held, joint->held_size), span_of("", 0)};

    if (!joint->open)
        return span_of("", 0);
    size_t left_out = decide(joint, &coming);
    joint->held_size = 0;
    return skip(coming.held, &left_out);
}
