/* daemon/daemon_files.h - the files that a transport's processes need the content of: TLS certificate and key, and options that its plugin
 * marks UMBEL_OPTION_FILE.  The processes cannot open them: they have another user, and the sandbox closes every path of the operator's. */
#ifndef DAEMON_FILES_H
#define DAEMON_FILES_H

#include "core/daemon/daemon.h"

#define DAEMON_FILE_MAX (1u << 20) /* bytes of one file */

/* daemon_files_send - reads them now and sends them; one that cannot be read is told in the log and not sent.  Blocks for as long as the
 * disk does: files of a few kilobytes, at a host's start and at a reload. */
void daemon_files_send(struct daemon_host *h);

/* daemon_files_any - whether the processes of this transport are sent any. */
bool daemon_files_any(const struct config_transport *config);

#endif
