/* race/race_record.h - records whose every byte follows from their number, so a torn one is seen; and TAP lines. */
#ifndef RACE_RECORD_H
#define RACE_RECORD_H

#include <stdbool.h>

#include "core/ring/ring_layout.h"

/* race_hash - a well mixed function of n. */
uint64_t race_hash(uint64_t n);

/* race_fill - record number n with size bytes of data; race_size - a size for it from 0 to RING_DATA_MAX, small ones more often. */
void race_fill(uint64_t n, uint16_t size, struct ring_record *ret_record);
uint16_t race_size(uint64_t n);

/* race_intact - whether all of the record belongs to the number it carries in arrival_ns. */
bool race_intact(const struct ring_record *record);

/* race_check - prints one TAP line and counts; race_done - prints the plan, returns main's exit code. */
void race_check(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
int race_done(void);

#endif
