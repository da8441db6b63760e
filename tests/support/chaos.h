/* support/chaos.h - see chaos.c. */
#ifndef CHAOS_H
#define CHAOS_H

#include <stddef.h>

/* chaos_query - the value of name in a query, at most room - 1 bytes into ret_text (returned), or NULL. */
const char *chaos_query(const char *query, const char *name, char *ret_text, size_t room);

/* chaos_try - makes every attempt, and writes {"NAME": "ERRNO" or "DONE", ...}.  The query says against whom: core (a pid), key, conf, admin,
 * stats (paths), port (a TCP port of 127.0.0.1 that listens). */
void chaos_try(const char *query, char *ret_json, size_t room);

#endif
