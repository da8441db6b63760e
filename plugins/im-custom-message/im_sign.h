/* im-custom-message/im_sign.h - the two signatures of the service: ours on calls (UserSig), theirs on webhooks.  Pure but for OpenSSL. */
#ifndef IM_SIGN_H
#define IM_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IM_SIG_MAX 1024u    /* bytes of a UserSig with its zero */
#define IM_WINDOW_S 60u     /* a webhook's RequestTime may be so far from now */
#define IM_DIGEST 16u       /* bytes of im_digest */

/* im_usersig - signs for identifier from time_s on for life_s seconds with the key as it is written.  0, -EINVAL (identifier too long or
 * with characters that the form cannot hold), -ENOMEM, -EIO (OpenSSL). */
int im_usersig(const char *key, const char *identifier, uint64_t sdk_app_id, uint64_t time_s, uint64_t life_s, char ret_sig[IM_SIG_MAX]);

/* im_webhook_sign - 64 lower-case hexadecimal digits and a zero.  false: OpenSSL failed. */
bool im_webhook_sign(const char *token, const char *request_time, char ret_hex[65]);

/* im_webhook_is_genuine - sign and request_time as they came (NULL: absent), now_s: seconds since 1970.  Takes equally long for every
 * wrong sign of the right form. */
bool im_webhook_is_genuine(const char *token, const char *sign, const char *request_time, uint64_t now_s);

/* im_digest - a short name for bytes that strangers chose; collisions cannot be made. */
void im_digest(const void *bytes, size_t size, unsigned char ret_digest[IM_DIGEST]);

#endif
