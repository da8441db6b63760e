/* plugin-check/check_child.h - each check runs in a process of its own, so that a plugin that crashes or hangs fails one check, not the report. */
#ifndef CHECK_CHILD_H
#define CHECK_CHILD_H

#include <stddef.h>

#include <umbel/transport.h>

#include "tools/plugin-check/check_plan.h"

#define CHECK_SAY_FD 9 /* of the check's process: its words go here */

/* Exit codes of a check's process, and results. */
enum check_result { CHECK_OK = 0, CHECK_FAILED = 70, CHECK_SKIPPED = 77, CHECK_BROKEN = 78 };

struct check {
    const char *name;
    const char *what; /* what is demanded, for the report */
    void (*run)(const struct umbel_transport *transport, const struct plan *plan);
    int needs_plan;
};

/* check_run - runs it on the plugin at path.  Writes its words (a note, or what failed) and returns a check_result. */
enum check_result check_run(const struct check *check, const char *path, const struct plan *plan, char *ret_words, size_t words_size);

#endif
