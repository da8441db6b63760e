/* sandbox/sandbox_filter.h - what the filters of hosts and core are written with: tables of calls and of arguments.  Inside this module only. */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>

enum sandbox_group { BASE, OUTBOUND, CORE, SANITIZER, ABSENT, NEVER };

#define SANDBOX_GROUP(group) (1u << (group))

struct sandbox_call {
    enum sandbox_group group;
    const char *name;
};

#define SANDBOX_INT UINT64_C(0xffffffff) /* the kernel reads no more of an int */
#define SANDBOX_ALL UINT64_MAX

/* (argument & mask) == value, for one argument or two.  A call is allowed when one of its rows fits. */
struct sandbox_argument {
    const char *name;
    enum sandbox_group group;
    struct sandbox_comparison {
        unsigned argument;
        uint64_t mask, value;
    } first, second; /* second.mask 0: one comparison only */
};

/* sandbox_filter_calls - adds the rows of these groups (bits): ABSENT answers ENOSYS, NEVER kills, the others are allowed.  A name that
 * libseccomp does not know is passed over.  0 or -errno. */
int sandbox_filter_calls(scmp_filter_ctx filter, const struct sandbox_call *rows, size_t count, unsigned groups);

/* sandbox_filter_arguments - allows what fits a row of these groups.  A row of a call that is allowed as a whole adds nothing. */
int sandbox_filter_arguments(scmp_filter_ctx filter, const struct sandbox_argument *rows, size_t count, unsigned groups);

/* sandbox_filter_begin - everything not added answers otherwise, and what is called as programs of another machine do it (32 bits) kills; with
 * SCMP_ACT_LOG it is logged too.  NULL: no memory.  sandbox_filter_end puts it in force if r, what adding has come to, is 0, and releases it.
 * 0 or -errno. */
scmp_filter_ctx sandbox_filter_begin(uint32_t otherwise);
int sandbox_filter_end(scmp_filter_ctx filter, int r);

#endif
