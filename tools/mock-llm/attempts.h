/* attempts - how often each model name was asked for, which is what times=N counts.
 * Bound: ATTEMPTS_MAX names; only names with times= are counted.  Owner: the loop thread. */
#ifndef MOCK_LLM_ATTEMPTS_H
#define MOCK_LLM_ATTEMPTS_H
#include <stddef.h>
#include <stdint.h>

#define ATTEMPTS_MAX 4096u

struct attempts {
    struct {
        char *model;
        uint64_t count;
    } * rows;
    size_t used;
};

/* attempts_next returns how many earlier calls named this model and counts this one; UINT64_MAX if the table is
 * full of other names. */
uint64_t attempts_next(struct attempts *attempts, const char *model);
/* attempts_clear forgets everything and frees the memory. */
void attempts_clear(struct attempts *attempts);
#endif
