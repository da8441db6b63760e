#include "core/base/number.h"

#include <string.h>

bool number_parse_u64(const char *text, size_t size, uint64_t *ret)
{
    uint64_t value = 0;

    if (size == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool number_parse_hex(const char *text, size_t size, uint8_t *ret_bytes)
{
    if (size % 2)
        return false;
    for (size_t i = 0; i < size; i++)
        if (hex_value(text[i]) < 0)
            return false;
    for (size_t i = 0; i < size; i += 2)
        ret_bytes[i / 2] = (uint8_t)(hex_value(text[i]) * 16 + hex_value(text[i + 1]));
    return true;
}

void number_format_hex(const uint8_t *bytes, size_t size, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < size; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * size] = '\0';
}

uint64_t number_power_of_two(uint64_t value)
{
    uint64_t power = 1;

    while (power < value && power < (1ull << 63))
        power <<= 1;
    return power;
}

bool number_parse_duration(const char *text, uint64_t *ret_ms)
{
    static const struct {
        char unit;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}, {'w', 604800000}};
    size_t size = strlen(text);
    uint64_t count;

    if (size < 2 || !number_parse_u64(text, size - 1, &count) || count == 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (text[size - 1] == units[i].unit && count <= UINT64_MAX / units[i].ms) {
            *ret_ms = count * units[i].ms;
            return true;
        }
    return false;
}
