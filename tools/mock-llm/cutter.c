#include "cutter.h"

#include "model_spec.h"

#define ANY_CUT_MAX 300u  /* bytes of a write with cut=any: around the size of an event */
#define UTF8_GAP_US 1000u /* long enough for the parts to arrive apart on a local connection */

void cutter_open(struct cutter *cutter, const struct model_spec *spec)
{
    *cutter = (struct cutter){.cut = spec->cut, .gap_us = spec->gap_us, .prng = {spec->seed ^ 0x637574u}};
    if (cutter->gap_us == MODEL_UNSET)
        cutter->gap_us = spec->cut == CUT_UTF8 ? UTF8_GAP_US : 0;
    cutter->next = 1 + prng_below(&cutter->prng, ANY_CUT_MAX);
    /* As fast as possible means few big writes; with a pace, a handful of tokens arrive together. */
    cutter->batch = spec->pace_us ? 0 : 64;
}

bool cutter_whole(const struct cutter *cutter)
{
    return cutter->cut == CUT_EVENT || cutter->cut == CUT_COALESCE;
}

uint32_t cutter_batch(struct cutter *cutter)
{
    if (cutter->cut != CUT_COALESCE)
        return 1;
    return cutter->batch ? cutter->batch : 2 + prng_below(&cutter->prng, 7);
}

/* Cuts inside the first character of several bytes; the rest of it begins the next write. */
static size_t inside_character(struct cutter *cutter, const char *wire, size_t size)
{
    for (size_t i = 0; i + 1 < size; i++) {
        unsigned char lead = (unsigned char)wire[i];
        if (lead >= 0xc2)
            return i + 1 + (lead >= 0xe0 ? prng_below(&cutter->prng, lead >= 0xf0 ? 3 : 2) : 0);
    }
    return size;
}

size_t cutter_next(struct cutter *cutter, const char *wire, size_t size, bool flush)
{
    size_t next;

    switch (cutter->cut) {
    case CUT_BYTE:
        return 1;
    case CUT_UTF8:
        next = inside_character(cutter, wire, size);
        return next < size ? next : size;
    case CUT_ANY:
        if (size < cutter->next)
            return flush ? size : 0;
        next = cutter->next;
        cutter->next = 1 + prng_below(&cutter->prng, ANY_CUT_MAX);
        return next;
    default:
        return size;
    }
}
