#include "core/sandbox/sandbox_filter.h"

#include <errno.h>

static int add(scmp_filter_ctx filter, uint32_t action, const char *name, unsigned count, const struct scmp_arg_cmp *comparisons)
{
    int number = seccomp_syscall_resolve_name(name);
    int r = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add_array(filter, action, number, count, comparisons);

    return r == -EEXIST ? 0 : r; /* in two groups; a sanitizer build allows all of it */
}

int sandbox_filter_calls(scmp_filter_ctx filter, const struct sandbox_call *rows, size_t count, unsigned groups)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        enum sandbox_group group = rows[i].group;
        uint32_t action = group == ABSENT ? SCMP_ACT_ERRNO(ENOSYS) : group == NEVER ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ALLOW;
        if (groups & SANDBOX_GROUP(group))
            r = add(filter, action, rows[i].name, 0, NULL);
    }
    return r;
}

int sandbox_filter_arguments(scmp_filter_ctx filter, const struct sandbox_argument *rows, size_t count, unsigned groups)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++) {
        const struct sandbox_comparison *first = &rows[i].first, *second = &rows[i].second;
        const struct scmp_arg_cmp comparisons[] = {{first->argument, SCMP_CMP_MASKED_EQ, first->mask, first->value},
                                                   {second->argument, SCMP_CMP_MASKED_EQ, second->mask, second->value}};
        if (groups & SANDBOX_GROUP(rows[i].group))
            r = add(filter, SCMP_ACT_ALLOW, rows[i].name, second->mask ? 2 : 1, comparisons);
    }
    return r;
}

scmp_filter_ctx sandbox_filter_begin(uint32_t otherwise)
{
    scmp_filter_ctx filter = seccomp_init(otherwise);

    if (filter && seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, otherwise == SCMP_ACT_LOG ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS) < 0) {
        seccomp_release(filter);
        return NULL;
    }
    return filter;
}

int sandbox_filter_end(scmp_filter_ctx filter, int r)
{
    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree, not a list: a call costs less */
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}
