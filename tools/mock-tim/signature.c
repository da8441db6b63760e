/* signature - the inverse of a UserSig, checked; the sign of callbacks. */
#include "mock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zlib.h>

/* The JSON of a UserSig, or NULL. */
static cJSON *unpack(const char *usersig)
{
    unsigned char packed[2048], json[4096];
    char base64[2048];
    size_t size = strlen(usersig), pad = 0;
    uLongf json_size = sizeof json - 1;

    if (size == 0 || size >= sizeof base64 || size % 4)
        return NULL;
    for (size_t i = 0; i <= size; i++)
        base64[i] = usersig[i] == '*' ? '+' : usersig[i] == '-' ? '/' : usersig[i] == '_' ? '=' : usersig[i];
    while (pad < 2 && base64[size - 1 - pad] == '=')
        pad++;
    int got = EVP_DecodeBlock(packed, (const unsigned char *)base64, (int)size);
    if (got < (int)pad || uncompress(json, &json_size, packed, (uLong)got - pad) != Z_OK)
        return NULL;
    json[json_size] = 0;
    return cJSON_Parse((const char *)json);
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsString(item) ? item->valuestring : "";
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

    return cJSON_IsNumber(item) ? item->valuedouble : -1;
}

static bool mac_is_right(const struct mock *mock, const cJSON *json)
{
    char text[512], sig[64];
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    int n = snprintf(text, sizeof text, "TLS.identifier:%s\nTLS.sdkappid:%.0f\nTLS.time:%.0f\nTLS.expire:%.0f\n",
                     text_of(json, "TLS.identifier"), number_of(json, "TLS.sdkappid"), number_of(json, "TLS.time"),
                     number_of(json, "TLS.expire"));

    if (n < 0 || (size_t)n >= sizeof text)
        return false;
    HMAC(EVP_sha256(), mock->options.key, (int)strlen(mock->options.key), (const unsigned char *)text, (size_t)n, mac, &size);
    EVP_EncodeBlock((unsigned char *)sig, mac, (int)size);
    return strcmp(sig, text_of(json, "TLS.sig")) == 0;
}

int signature_check(const struct mock *mock, const char *usersig, const char *identifier, uint64_t now_s)
{
    cJSON *json = unpack(usersig);
    int code = 0;

    if (!json || strcmp(text_of(json, "TLS.ver"), "2.0") != 0 || !mac_is_right(mock, json))
        code = 70003;
    else if (strcmp(text_of(json, "TLS.identifier"), identifier) != 0)
        code = 70013;
    else if (number_of(json, "TLS.sdkappid") != (double)mock->options.sdk_app_id)
        code = 70014;
    else if (number_of(json, "TLS.time") + number_of(json, "TLS.expire") < (double)now_s)
        code = 70001;
    cJSON_Delete(json);
    return code;
}

void signature_webhook(const char *token, const char *request_time, char ret_hex[65])
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    char text[512];

    snprintf(text, sizeof text, "%s%s", token, request_time);
    EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 32; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", hash[i]);
}
