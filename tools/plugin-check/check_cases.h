/* plugin-check/check_cases.h - the checks, in the order of the report. */
#ifndef CHECK_CASES_H
#define CHECK_CASES_H

#include "tools/plugin-check/check_child.h"

typedef void check_case(const struct umbel_transport *transport, const struct plan *plan);
/* check_manifest.c */
check_case case_manifest, case_open;
/* check_answers.c */
check_case case_characters, case_terminal, case_errors, case_bad_key, case_dialogues;
/* check_clients.c */
check_case case_slow, case_gone, case_drain, case_close;
/* check_hostile.c */
check_case case_garbage, case_huge, case_tiny, case_leaks;

#endif
