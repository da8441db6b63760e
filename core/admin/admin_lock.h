/* admin/admin_lock.h - one daemon for one runtime directory.
 * The lock is an open-file-description lock on RUNTIME_DIR/umbeld.lock: it goes with its holder however that ends, is not inherited over
 * exec (O_CLOEXEC), holds while the daemon is stopped by a signal, and can be asked about without being taken. */
#ifndef ADMIN_LOCK_H
#define ADMIN_LOCK_H

#include "core/base/why.h"

/* admin_lock - takes the lock for this process and writes its pid into the file for people to read.  Makes the directory's last part if
 * it is missing (0750).  Returns the descriptor, to be kept open as long as the daemon lives (closing it releases the lock), or
 * -EBUSY (another daemon lives here), -errno; words in why. */
int admin_lock(const char *runtime_dir, struct why *why);

/* admin_lock_is_held - 1 if a daemon lives there, 0 if not, -errno (-EACCES: not allowed to look) with words in why. */
int admin_lock_is_held(const char *runtime_dir, struct why *why);

#endif
