#include "framer.h"

#include "model_spec.h"

#define ANY_CHUNK_MAX 48u /* bytes of a chunk with chunks=any: smaller than most events */
#define STORED_MAX 65535u /* bytes of a stored deflate block */

void framer_open(struct framer *framer, const struct model_spec *spec, bool chunked)
{
    *framer = (struct framer){.chunked = chunked,
                              .any = chunked && spec->chunks == CHUNKS_ANY,
                              .gzip = spec->gzip,
                              .prng = {spec->seed ^ 0x6368756e6b73u}};
    framer->next_chunk = 1 + prng_below(&framer->prng, ANY_CHUNK_MAX);
}

static void chunk(const char *data, size_t size, struct bytes *out)
{
    char head[20];
    size_t at = sizeof head;

    if (!size)
        return;
    head[--at] = '\n';
    head[--at] = '\r';
    for (size_t left = size; left; left >>= 4)
        head[--at] = "0123456789abcdef"[left & 15];
    bytes_put(out, head + at, sizeof head - at);
    bytes_put(out, data, size);
    bytes_put(out, "\r\n", 2);
}

static void body(struct framer *framer, const char *data, size_t size, struct bytes *out)
{
    if (!framer->chunked) {
        bytes_put(out, data, size);
    } else if (!framer->any) {
        chunk(data, size, out);
    } else {
        size_t at = 0;
        bytes_put(&framer->held, data, size);
        while (framer->held.len - at >= framer->next_chunk) {
            chunk(framer->held.data + at, framer->next_chunk, out);
            at += framer->next_chunk;
            framer->next_chunk = 1 + prng_below(&framer->prng, ANY_CHUNK_MAX);
        }
        bytes_drop(&framer->held, at);
    }
}

/* CRC-32 of the gzip format, four bits at a time: small and quick enough for a fault option. */
static uint32_t crc32_add(uint32_t crc, const char *data, size_t size)
{
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= (unsigned char)data[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

static void little_endian(struct bytes *out, uint32_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char byte = (char)(unsigned char)(value >> (8 * i) & 0xff);
        bytes_put(out, &byte, 1);
    }
}

/* Appends data as stored blocks; last marks the end of the deflate stream and adds the trailer. */
static void gzip_put(struct framer *framer, const char *data, size_t size, bool last, struct bytes *out)
{
    if (!framer->begun)
        bytes_put(out, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    framer->begun = true;
    framer->crc = crc32_add(framer->crc, data, size);
    framer->size += (uint32_t)size;
    while (size) {
        uint32_t block = size < STORED_MAX ? (uint32_t)size : STORED_MAX;
        little_endian(out, 0, 1);
        little_endian(out, block, 2);
        little_endian(out, ~block & 0xffff, 2);
        bytes_put(out, data, block);
        data += block;
        size -= block;
    }
    if (last) {
        bytes_put(out, "\x01\0\0\xff\xff", 5);
        little_endian(out, framer->crc, 4);
        little_endian(out, framer->size, 4);
    }
}

void framer_put(struct framer *framer, const char *data, size_t size, struct bytes *out)
{
    if (!framer->gzip) {
        body(framer, data, size, out);
        return;
    }
    struct bytes zipped = {0};
    gzip_put(framer, data, size, false, &zipped);
    body(framer, zipped.data, zipped.len, out);
    bytes_free(&zipped);
}

void framer_flush(struct framer *framer, struct bytes *out)
{
    if (framer->chunked)
        chunk(framer->held.data, framer->held.len, out);
    framer->held.len = 0;
}

void framer_end(struct framer *framer, struct bytes *out)
{
    if (framer->gzip) {
        struct bytes zipped = {0};
        gzip_put(framer, "", 0, true, &zipped);
        body(framer, zipped.data, zipped.len, out);
        bytes_free(&zipped);
    }
    framer_flush(framer, out);
    if (framer->chunked)
        bytes_puts(out, "0\r\n\r\n");
}

void framer_close(struct framer *framer)
{
    bytes_free(&framer->held);
}
