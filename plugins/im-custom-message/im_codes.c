/* im-custom-message/im_codes.c - see im_codes.h.  One row a range of codes; the first that fits counts. */
#include "im_codes.h"

#include <stddef.h>

static const struct {
    int32_t from, to;
    enum im_class class_;
} codes[] = {
    {0, 0, IM_OK},
    {10002, 10002, IM_TRANSIENT},
    {20004, 20005, IM_TRANSIENT},
    {20028, 20028, IM_TRANSIENT},
    {22002, 22002, IM_TRANSIENT},
    {60004, 60005, IM_TRANSIENT},
    {60008, 60008, IM_TRANSIENT},
    {60014, 60014, IM_TRANSIENT},
    {70169, 70169, IM_TRANSIENT},
    {70500, 70500, IM_TRANSIENT},
    {90992, 90992, IM_TRANSIENT},
    {90994, 90994, IM_TRANSIENT},
    {91000, 91000, IM_TRANSIENT},
    {60007, 60007, IM_RATE},
    {60018, 60018, IM_RATE},
    {10006, 10006, IM_RATE},
    {10023, 10023, IM_RATE},
    {22006, 22006, IM_RATE},
    {60028, 60028, IM_VOLUME},
    {70001, 70001, IM_SIGNATURE},
    {70003, 70003, IM_CONFIGURATION},
    {70009, 70009, IM_CONFIGURATION},
    {70013, 70014, IM_CONFIGURATION},
    {70016, 70016, IM_CONFIGURATION},
    {70020, 70020, IM_CONFIGURATION},
    {60010, 60010, IM_CONFIGURATION},
    {60012, 60012, IM_CONFIGURATION},
    {60016, 60017, IM_CONFIGURATION},
    {60020, 60020, IM_CONFIGURATION},
    {60025, 60026, IM_CONFIGURATION},
    {10004, 10004, IM_CONFIGURATION},
    {90001, 90012, IM_CONFIGURATION}, /* 90009 among them */
    {20003, 20003, IM_ACCOUNT},
    {70107, 70107, IM_ACCOUNT},
    {90048, 90048, IM_ACCOUNT},
    {70050, 70050, IM_ACCOUNT_LATER},
    {80001, 80001, IM_CONTENT},
    {20006, 20006, IM_CONTENT},
    {120001, 130000, IM_CONTENT},
    {80002, 80002, IM_TOO_LONG},
    {93000, 93000, IM_TOO_LONG},
    {90055, 90055, IM_TOO_LONG},
    {20022, 20023, IM_GONE},
    {90054, 90054, IM_GONE},
    {20027, 20027, IM_CONFLICT},
    {20009, 20012, IM_RELATION},
};

static const char *const names[IM_CLASS_COUNT] = {
    [IM_OK] = "ok",
    [IM_TRANSIENT] = "transient",
    [IM_UNCLEAR] = "unclear",
    [IM_RATE] = "rate",
    [IM_VOLUME] = "volume",
    [IM_SIGNATURE] = "signature",
    [IM_CONFIGURATION] = "configuration",
    [IM_ACCOUNT] = "account",
    [IM_ACCOUNT_LATER] = "account_later",
    [IM_CONTENT] = "content",
    [IM_TOO_LONG] = "too_long",
    [IM_GONE] = "gone",
    [IM_CONFLICT] = "conflict",
    [IM_RELATION] = "relation",
    [IM_OTHER] = "other",
};

static const char *const counters[IM_CLASS_COUNT] = {
    [IM_OK] = "im_calls_ok",
    [IM_TRANSIENT] = "im_calls_transient",
    [IM_UNCLEAR] = "im_calls_unclear",
    [IM_RATE] = "im_calls_rate",
    [IM_VOLUME] = "im_calls_volume",
    [IM_SIGNATURE] = "im_calls_signature",
    [IM_CONFIGURATION] = "im_calls_configuration",
    [IM_ACCOUNT] = "im_calls_account",
    [IM_ACCOUNT_LATER] = "im_calls_account_later",
    [IM_CONTENT] = "im_calls_content",
    [IM_TOO_LONG] = "im_calls_too_long",
    [IM_GONE] = "im_calls_gone",
    [IM_CONFLICT] = "im_calls_conflict",
    [IM_RELATION] = "im_calls_relation",
    [IM_OTHER] = "im_calls_other",
};

enum im_class im_class_of(int64_t code)
{
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (code >= codes[i].from && code <= codes[i].to)
            return codes[i].class_;
    return IM_OTHER;
}

const char *im_class_name(enum im_class class_)
{
    return names[class_];
}

const char *im_class_counter(enum im_class class_)
{
    return counters[class_];
}
