/* capture/capture_file.h - records to a file, so that the caller never waits for a disk.
 *
 *      one thread: capture_file_put --copy--> buffer (CAPTURE_BUFFER) --swap--> the file's own thread --> file
 *
 * A record stands in the file whole and in order, or it does not: after the first that finds no room (the file has its size, the disk is slower
 * than the services, or refuses) none is taken any more, so that what is there has no gaps.  capture_file_state says which. */
#ifndef CAPTURE_FILE_H
#define CAPTURE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/why.h"
#include "core/capture/capture_format.h"

#define CAPTURE_BUFFER ((size_t)8 << 20) /* bytes that wait */
#define CAPTURE_STOP_ROOM 4096u          /* bytes of the file's size that are kept for its last record, and of the buffer */
#define CAPTURE_CLOSE_MS 2000u           /* capture_file_close waits so long for a slow disk */

struct capture_file;

enum capture_state { CAPTURE_TAKES, CAPTURE_FULL, CAPTURE_SLOW, CAPTURE_BROKEN };

/* capture_file_open - makes path (0600; it must not exist).  max_bytes: of the file, at least CAPTURE_STOP_ROOM.  0; -errno with words. */
int capture_file_open(const char *path, uint64_t max_bytes, struct capture_file **ret_file, struct why *why);

/* capture_file_put - false: it was not taken, and none will be. */
bool capture_file_put(struct capture_file *file, const struct capture_record *record);
/* capture_file_put_last - as _put, in the room that is kept for it (its payload at most CAPTURE_STOP_ROOM less its head). */
void capture_file_put_last(struct capture_file *file, const struct capture_record *record);

enum capture_state capture_file_state(struct capture_file *file);
const char *capture_state_text(enum capture_state state); /* "the file is full"; "" for CAPTURE_TAKES */
uint64_t capture_file_bytes(const struct capture_file *file); /* taken */

/* capture_file_stop - nothing is put any more: the thread writes what waits and ends.  capture_file_is_written - it has. */
void capture_file_stop(struct capture_file *file);
bool capture_file_is_written(struct capture_file *file);

/* capture_file_close - writes what waits.  If the disk holds the thread for longer than CAPTURE_CLOSE_MS it is left behind and frees what it
 * shares when it returns.  NULL is fine. */
void capture_file_close(struct capture_file *file);

#endif
