/* sandbox/sandbox_core.h - what umbeld itself gives up before it makes a thread or a socket: capabilities and system calls.
 *
 *   sandbox_core_enter:  capabilities -> no-new-privileges -> seccomp
 * All of it is inherited: by hosts, which give up more (sandbox.h), and by the new program of an upgrade in place.  So the list lets those
 * two start; what it takes away is what neither needs.  docs/decisions/0014 says why no Landlock is among it.  Once in a process, from its
 * only thread. */
#ifndef SANDBOX_CORE_H
#define SANDBOX_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/sandbox/sandbox.h"

/* The list's number.  A running filter tells it to the program of an upgrade: one with a higher number may need calls that are refused, and
 * is not executed.  Raise it with every change of what the filter does; test_sandbox_core compares it with the list's sum. */
#define SANDBOX_CORE_LIST 1u

enum sandbox_core_mode { SANDBOX_CORE_OFF, SANDBOX_CORE_LOG, SANDBOX_CORE_ON };

/* sandbox_core_mode - "on", "log" or "off" as a mode; on for anything else. */
enum sandbox_core_mode sandbox_core_mode(const char *text);

/* sandbox_core_enter - LOG: the filter refuses nothing, the kernel logs what it would refuse.  OFF: nothing is given up.  A filter of before an
 * upgrade in place stays whatever the mode is, and one of the same list is not added again.  ret_report: one line on what holds.  Returns
 * whether that is what was asked for: a kernel without seccomp makes the confinement weaker, never the daemon unusable. */
bool sandbox_core_enter(enum sandbox_core_mode mode, char ret_report[SANDBOX_REPORT_MAX]);

/* sandbox_core_check - may this program run under the filter that it was started with?  0; or -EPERM with words: its list is a newer one. */
int sandbox_core_check(struct why *why);

/* sandbox_core_sum - of everything that the list allows, refuses or kills for; the same however it is written down.  For the test. */
uint64_t sandbox_core_sum(void);


#endif
