/* support/certificate.h - certificates made by a test for itself: an authority of its own and leaves signed by it. */
#ifndef SUPPORT_CERTIFICATE_H
#define SUPPORT_CERTIFICATE_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
};

static inline void certificate_extend(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    if (!extension || X509_add_ext(x509, extension, -1) != 1)
        abort();
    X509_EXTENSION_free(extension);
}

/* certificate_make - names: "DNS:model.test,IP:127.0.0.1", or NULL for an authority.  issuer NULL: signed by itself.  Valid from
 * an hour before until valid_s seconds after now (negative: expired). */
static inline struct certificate certificate_make(const char *common_name, const char *names, const struct certificate *issuer,
                                                  long valid_s)
{
    static long serial = 1000;
    struct certificate made = {X509_new(), EVP_EC_gen("P-256")};
    X509_NAME *name = X509_get_subject_name(made.x509);

    X509_set_version(made.x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), -7200);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), valid_s);
    X509_set_pubkey(made.x509, made.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common_name, -1, -1, 0);
    X509_set_issuer_name(made.x509, issuer ? X509_get_subject_name(issuer->x509) : name);
    certificate_extend(made.x509, issuer ? issuer->x509 : made.x509, NID_basic_constraints,
                       names ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        certificate_extend(made.x509, issuer ? issuer->x509 : made.x509, NID_subject_alt_name, names);
    if (X509_sign(made.x509, issuer ? issuer->key : made.key, EVP_sha256()) == 0)
        abort();
    return made;
}

static inline void certificate_free(struct certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
}

/* certificate_save - writes the certificate as PEM into a fresh temporary file; the caller unlinks and frees the name. */
static inline char *certificate_save(const struct certificate *certificate)
{
    char path[] = "/tmp/umbel-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!file || PEM_write_X509(file, certificate->x509) != 1 || fclose(file) != 0)
        abort();
    return strdup(path);
}

/* certificate_save_key - likewise its private key; passphrase NULL: none. */
static inline char *certificate_save_key(const struct certificate *certificate, const char *passphrase)
{
    char path[] = "/tmp/umbel-test-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (!file ||
        PEM_write_PKCS8PrivateKey(file, certificate->key, passphrase ? EVP_aes_128_cbc() : NULL, passphrase,
                                  passphrase ? (int)strlen(passphrase) : 0, NULL, NULL) != 1 ||
        fclose(file) != 0)
        abort();
    return strdup(path);
}

/* certificate_server - a server's settings with this certificate. */
static inline SSL_CTX *certificate_server(const struct certificate *certificate)
{
    SSL_CTX *server = SSL_CTX_new(TLS_server_method());

    if (!server || SSL_CTX_use_certificate(server, certificate->x509) != 1 ||
        SSL_CTX_use_PrivateKey(server, certificate->key) != 1)
        abort();
    SSL_CTX_set_session_id_context(server, (const unsigned char *)"umbel", 5);
    return server;
}

#endif
