/* base/number.h - numbers from and to text, strictly: no blanks, no signs where none belong, no overflow in silence. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* number_parse_u64 - decimal digits only.  False (and *ret untouched) on anything else or on overflow. */
bool number_parse_u64(const char *text, size_t size, uint64_t *ret);

/* number_parse_duration - "90s", "15m", "6h", "2d", "4w": digits and one unit.  False on anything else, on 0 and on overflow. */
bool number_parse_duration(const char *text, uint64_t *ret_ms);

/* number_parse_hex - size (an even number of) hexadecimal digits into size / 2 bytes. */
bool number_parse_hex(const char *text, size_t size, uint8_t *ret_bytes);

/* number_format_hex - 2 * size lower-case digits and a zero. */
void number_format_hex(const uint8_t *bytes, size_t size, char *ret_text);

/* number_power_of_two - the next power of two at or above value, 1 for 0. */
uint64_t number_power_of_two(uint64_t value);

#endif
