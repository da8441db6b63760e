/* carrier/ws_progress.h - does a slow client move at all? */
#ifndef WS_PROGRESS_H
#define WS_PROGRESS_H

#include <stdint.h>

/* ws_progress_acked - bytes the peer's kernel has acknowledged on this TCP socket since it was opened; 0 if the kernel does not say. */
uint64_t ws_progress_acked(int fd);

#endif
