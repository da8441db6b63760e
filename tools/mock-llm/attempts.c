#include "attempts.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"

uint64_t attempts_next(struct attempts *attempts, const char *model)
{
    for (size_t i = 0; i < attempts->used; i++)
        if (!strcmp(attempts->rows[i].model, model))
            return attempts->rows[i].count++;
    if (attempts->used == ATTEMPTS_MAX)
        return UINT64_MAX;
    if (!attempts->rows)
        attempts->rows = bytes_alloc(ATTEMPTS_MAX * sizeof *attempts->rows);
    attempts->rows[attempts->used].model = bytes_copy(model, strlen(model));
    attempts->rows[attempts->used++].count = 1;
    return 0;
}

void attempts_clear(struct attempts *attempts)
{
    for (size_t i = 0; i < attempts->used; i++)
        free(attempts->rows[i].model);
    free(attempts->rows);
    *attempts = (struct attempts){0};
}
