#include "core/base/number.h"

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
