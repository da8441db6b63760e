/* access/access_log.h - lines to a file, so that the caller never waits for a disk.
 *
 *      any thread: access_log_write --copy--> buffer (ACCESS_LOG_BUFFER) --swap--> the log's own thread --> file
 *
 * When the buffer is full, or the file cannot be written, lines are dropped whole and counted; the file is tried again each
 * second.  A line that stands in the file stands there whole, but for a disk that fills up in its middle: then the next line begins
 * on a line of its own.
 * After access_log_reopen everything that was written before goes to the old file, the rest to the path anew (logrotate). */
#ifndef ACCESS_LOG_H
#define ACCESS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"

#define ACCESS_LOG_BUFFER 4194304u /* bytes that wait */
#define ACCESS_LOG_CLOSE_MS 2000u  /* access_log_close waits so long for a slow disk */

struct access_log;

/* access_log_open - path "-": standard output.  Makes the file (0640) if need be and appends.  0; -errno with words when it cannot be
 * opened; -ENOMEM, -EAGAIN: no thread. */
int access_log_open(const char *path, struct access_log **ret_log, struct why *why);

/* access_log_write - one line without its end; it must hold none.  Never blocks on a disk.  log NULL: nothing happens. */
void access_log_write(struct access_log *log, const char *line, size_t size);

void access_log_reopen(struct access_log *log);                 /* NULL is fine */
uint64_t access_log_dropped(struct access_log *log);            /* lines; NULL: 0 */
uint64_t access_log_written(struct access_log *log);            /* bytes that are in the file; NULL: 0 */

/* access_log_close - writes what waits.  If the disk holds the thread for longer than ACCESS_LOG_CLOSE_MS it is left behind and frees
 * what it shares when it returns.  NULL is fine. */
void access_log_close(struct access_log *log);

#endif
