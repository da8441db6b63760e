/* umbelctl/args.h - the command line, by the table of commands. */
#ifndef ARGS_H
#define ARGS_H

#include "tools/umbelctl/ctl.h"

enum args_wish { ARGS_RUN, ARGS_HELP, ARGS_VERSION, ARGS_BAD };

/* args_read - reads argv into *ret_ctl (which borrows from it; its order changes).  ARGS_BAD: the complaint has been printed, exit with
 * CTL_USAGE.  ARGS_HELP: ret_ctl->command, or all if NULL. */
enum args_wish args_read(int argc, char **argv, struct ctl *ret_ctl);

#endif
