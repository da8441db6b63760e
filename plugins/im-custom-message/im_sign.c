/* im-custom-message/im_sign.c - see im_sign.h. */
#include "im_sign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zlib.h>

#define TEXT_MAX 512u

/* Letters, digits and what Tencent's own ids use: nothing that JSON or the lines of the signed text would have to escape. */
static bool is_plain(const char *identifier)
{
    for (const char *c = identifier; *c; c++)
        if ((unsigned char)*c < 0x21 || (unsigned char)*c > 0x7e || *c == '"' || *c == '\\')
            return false;
    return *identifier && strlen(identifier) <= 64;
}

/* zlib, base64, and the three characters that URLs do not like replaced. */
static int pack(const char *json, size_t size, char ret_sig[IM_SIG_MAX])
{
    unsigned char packed[IM_SIG_MAX / 4 * 3 - 3];
    uLongf packed_size = sizeof packed;

    if (compress2(packed, &packed_size, (const unsigned char *)json, size, Z_DEFAULT_COMPRESSION) != Z_OK)
        return -ENOMEM;
    EVP_EncodeBlock((unsigned char *)ret_sig, packed, (int)packed_size);
    for (char *c = ret_sig; *c; c++)
        *c = *c == '+' ? '*' : *c == '/' ? '-' : *c == '=' ? '_' : *c;
    return 0;
}

int im_usersig(const char *key, const char *identifier, uint64_t sdk_app_id, uint64_t time_s, uint64_t life_s, char ret_sig[IM_SIG_MAX])
{
    char text[TEXT_MAX], json[TEXT_MAX], sig[64];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int mac_size = 0;

    if (!is_plain(identifier))
        return -EINVAL;
    int size = snprintf(text, sizeof text, "TLS.identifier:%s\nTLS.sdkappid:%llu\nTLS.time:%llu\nTLS.expire:%llu\n", identifier,
                        (unsigned long long)sdk_app_id, (unsigned long long)time_s, (unsigned long long)life_s);
    if (!HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)text, (size_t)size, mac, &mac_size))
        return -EIO;
    EVP_EncodeBlock((unsigned char *)sig, mac, (int)mac_size);
    size = snprintf(json, sizeof json,
                    "{\"TLS.ver\":\"2.0\",\"TLS.identifier\":\"%s\",\"TLS.sdkappid\":%llu,\"TLS.time\":%llu,\"TLS.expire\":%llu,"
                    "\"TLS.sig\":\"%s\"}",
                    identifier, (unsigned long long)sdk_app_id, (unsigned long long)time_s, (unsigned long long)life_s, sig);
    return pack(json, (size_t)size, ret_sig);
}

bool im_webhook_sign(const char *token, const char *request_time, char ret_hex[65])
{
    static const char digit[] = "0123456789abcdef";
    unsigned char hash[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(context, token, strlen(token)) == 1 &&
                EVP_DigestUpdate(context, request_time, strlen(request_time)) == 1 && EVP_DigestFinal_ex(context, hash, NULL) == 1;

    EVP_MD_CTX_free(context);
    for (size_t i = 0; good && i < 32; i++) {
        ret_hex[2 * i] = digit[hash[i] >> 4];
        ret_hex[2 * i + 1] = digit[hash[i] & 15];
    }
    ret_hex[64] = 0;
    return good;
}

/* Decimal digits only: what is signed is this very text. */
static bool read_time(const char *text, uint64_t *ret_s)
{
    uint64_t value = 0;
    size_t size = strlen(text);

    if (size == 0 || size > 12)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_s = value;
    return true;
}

bool im_webhook_is_genuine(const char *token, const char *sign, const char *request_time, uint64_t now_s)
{
    char wanted[65];
    uint64_t then_s;

    if (!sign || !request_time || strlen(sign) != 64 || !read_time(request_time, &then_s) || !im_webhook_sign(token, request_time, wanted))
        return false;
    bool same = CRYPTO_memcmp(sign, wanted, 64) == 0;
    uint64_t apart_s = now_s > then_s ? now_s - then_s : then_s - now_s;
    return same && apart_s <= IM_WINDOW_S;
}

void im_digest(const void *bytes, size_t size, unsigned char ret_digest[IM_DIGEST])
{
    unsigned char hash[EVP_MAX_MD_SIZE] = {0};

    EVP_Digest(bytes, size, hash, NULL, EVP_sha256(), NULL);
    memcpy(ret_digest, hash, IM_DIGEST);
}
