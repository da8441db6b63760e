/* daemon/daemon_capture.h - umbelctl capture: what services send, byte for byte, into a file.
 *
 *   off --start--> on --stop, its time, full, trouble--> writing the rest --> off
 *
 * One at a time.  Calls that begin while it is on are recorded to their end, or to the capture's; the key never, the question only
 * --with-request.  The file holds the answers' texts: mode 0600.  Owner: the core's loop thread. */
#ifndef DAEMON_CAPTURE_H
#define DAEMON_CAPTURE_H

#include "core/upstream/upstream_record.h"

struct daemon;
struct daemon_capture;

int daemon_capture_create(struct daemon *daemon); /* before the upstreams; 0 or -ENOMEM */
const struct upstream_recorder *daemon_capture_recorder(const struct daemon_capture *capture); /* for every upstream */
void daemon_capture_admin(struct daemon *daemon); /* capture start, stop, status */
void daemon_capture_free(struct daemon *daemon);  /* after the upstreams: what was recorded is in the file */

#endif
