/* core/tls: bytes in, bytes out, against OpenSSL's own server in memory; the test is the network between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/tls/tls_context.h"
#include "core/tls/tls_session.h"
#include "tests/support/certificate.h"

static struct certificate authority, stranger, good, expired;
static char *ca_file;

static int make_certificates(void **state)
{
    (void)state;
    authority = certificate_make("umbel test authority", NULL, NULL, 3600);
    stranger = certificate_make("another authority", NULL, NULL, 3600);
    good = certificate_make("model.test", "DNS:model.test,DNS:other.test,IP:127.0.0.1,IP:::1", &authority, 3600);
    expired = certificate_make("model.test", "DNS:model.test", &authority, -60);
    ca_file = certificate_save(&authority);
    return 0;
}

static int free_certificates(void **state)
{
    (void)state;
    certificate_free(&authority);
    certificate_free(&stranger);
    certificate_free(&good);
    certificate_free(&expired);
    unlink(ca_file);
    free(ca_file);
    return 0;
}

/* A client session, a server, and what each has received. */
struct line {
    struct tls_session *client;
    SSL *server;
    char got[300000]; /* decrypted at the client */
    size_t got_size;
    char heard[300000]; /* decrypted at the server */
    size_t heard_size;
    bool free_in_plain;
    int result; /* the client's last feed */
    struct why why;
};

static void plain(void *owner, const char *bytes, size_t size)
{
    struct line *line = owner;

    assert_true(line->got_size + size <= sizeof line->got);
    memcpy(line->got + line->got_size, bytes, size);
    line->got_size += size;
    if (line->free_in_plain) {
        tls_session_free(line->client);
        line->client = NULL;
    }
}

static struct line *line_open(struct tls_context *context, const char *host, SSL_CTX *server)
{
    struct line *line = calloc(1, sizeof *line);

    assert_int_equal(tls_session_create(context, host, &line->client, &line->why), 0);
    line->server = SSL_new(server);
    SSL_set_bio(line->server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(line->server), -1);
    SSL_set_accept_state(line->server);
    return line;
}

static void line_close(struct line *line)
{
    tls_session_free(line->client);
    SSL_free(line->server);
    free(line);
    ERR_clear_error();
}

static void server_turn(struct line *line)
{
    size_t size;

    ERR_clear_error();
    while (line->heard_size < sizeof line->heard &&
           SSL_read_ex(line->server, line->heard + line->heard_size, sizeof line->heard - line->heard_size, &size) == 1)
        line->heard_size += size;
    ERR_clear_error();
}

/* Carries bytes both ways in pieces until nothing moves any more. */
static void carry(struct line *line, size_t piece)
{
    char bytes[16384];
    bool moved = true;

    while (moved && line->client) {
        size_t size;
        const char *output = tls_session_output(line->client, &size);
        int n;

        moved = size > 0;
        if (size > 0)
            assert_int_equal(BIO_write(SSL_get_rbio(line->server), output, (int)size), size);
        tls_session_sent(line->client);
        server_turn(line);
        while (line->client && (n = BIO_read(SSL_get_wbio(line->server), bytes, (int)sizeof bytes)) > 0) {
            moved = true;
            for (int at = 0; at < n && line->client && line->result == 0; at += (int)piece) {
                size_t left = (size_t)(n - at);

                /* Its own allocation, so that ASan sees whoever keeps a pointer into it. */
                char *copy = malloc(left < piece ? left : piece);
                memcpy(copy, bytes + at, left < piece ? left : piece);
                line->result = tls_session_feed(line->client, copy, left < piece ? left : piece, plain, line, &line->why);
                free(copy);
            }
        }
    }
}

static void begin(struct line *line, size_t piece)
{
    line->result = tls_session_feed(line->client, NULL, 0, plain, line, &line->why);
    assert_int_equal(line->result, 0);
    carry(line, piece);
}

static struct tls_context *make_context(void)
{
    struct tls_context *context;
    struct why why = {""};

    if (tls_context_create(&(struct tls_files){.ca = ca_file}, &context, &why) < 0)
        fail_msg("%s", why.text);
    return context;
}

/* A whole conversation with the network cut into pieces of this size. */
static void converse(size_t piece, int max_version)
{
    struct tls_context *context = make_context();
    SSL_CTX *server = certificate_server(&good);
    SSL_CTX_set_max_proto_version(server, max_version);
    struct line *line = line_open(context, "model.test", server);
    static char answer[100000];
    size_t written;

    for (size_t i = 0; i < sizeof answer; i++)
        answer[i] = (char)(i * 7 % 251);
    assert_int_equal(tls_session_write(line->client, "early question", 14, &line->why), 0);
    assert_int_equal(tls_session_is_ready(line->client), 0);
    begin(line, piece);
    assert_int_equal(line->result, 0);
    assert_int_equal(tls_session_is_ready(line->client), 1);
    assert_string_equal(SSL_get_servername(line->server, TLSEXT_NAMETYPE_host_name), "model.test");
    assert_int_equal(line->heard_size, 14);
    assert_memory_equal(line->heard, "early question", 14);
    assert_int_equal(SSL_write_ex(line->server, answer, sizeof answer, &written), 1);
    assert_int_equal(tls_session_write(line->client, "late", 4, &line->why), 0);
    carry(line, piece);
    assert_int_equal(line->got_size, sizeof answer);
    assert_memory_equal(line->got, answer, sizeof answer);
    assert_int_equal(line->heard_size, 18);
    assert_int_equal(tls_session_peer_closed(line->client), 0);
    SSL_shutdown(line->server);
    carry(line, piece);
    assert_int_equal(line->result, 1);
    assert_int_equal(tls_session_peer_closed(line->client), 1);
    line_close(line);
    SSL_CTX_free(server);
    tls_context_free(context);
}

/* Goal: handshake, question, answer and close_notify however the network cuts them, in TLS 1.2 and 1.3.  Method: pieces of 1, 7
 * and 16384 bytes.  Catches: input left in the session, a record cut in two, early writes that are lost. */
static void test_conversation_in_pieces(void **state)
{
    (void)state;
    converse(1, TLS1_3_VERSION);
    converse(7, TLS1_2_VERSION);
    converse(16384, TLS1_3_VERSION);
    converse(16384, TLS1_2_VERSION);
}

static void refuse(const struct certificate *certificate, const char *host, int max_version, const char *words)
{
    struct tls_context *context = make_context();
    SSL_CTX *server = certificate_server(certificate);
    struct line *line;

    if (max_version) {
        SSL_CTX_set_security_level(server, 0);
        SSL_CTX_set_min_proto_version(server, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(server, max_version);
    }
    line = line_open(context, host, server);
    assert_int_equal(tls_session_write(line->client, "secret", 6, &line->why), 0);
    begin(line, 16384);
    assert_int_equal(line->result, -EPROTO);
    if (!strstr(line->why.text, words))
        fail_msg("%s: %s", words, line->why.text);
    assert_int_equal(line->heard_size, 0);
    assert_int_equal(tls_session_is_ready(line->client), 0);
    assert_int_equal(tls_session_feed(line->client, "x", 1, plain, line, &line->why), -EPROTO);
    assert_int_equal(tls_session_write(line->client, "x", 1, &line->why), -EPIPE);
    line_close(line);
    SSL_CTX_free(server);
    tls_context_free(context);
}

/* Goal: whoever cannot prove to be the host gets not one byte, and the reason is named.  Method: wrong host, wrong address,
 * expired, unknown authority, self-signed by name only, TLS 1.1.  Catches: verification that is off, or checks the chain but not
 * the name. */
static void test_refusals_are_named(void **state)
{
    struct certificate unknown = certificate_make("model.test", "DNS:model.test", &stranger, 3600);
    struct certificate alone = certificate_make("model.test", "DNS:model.test", NULL, 3600);
    struct certificate wild = certificate_make("wild", "DNS:*.test", &authority, 3600);

    (void)state;
    refuse(&good, "wrong.test", 0, "hostname mismatch");
    refuse(&good, "127.0.0.2", 0, "IP address mismatch");
    refuse(&wild, "a.b.test", 0, "hostname mismatch");
    refuse(&expired, "model.test", 0, "certificate has expired");
    refuse(&unknown, "model.test", 0, "unable to get local issuer certificate");
    refuse(&alone, "model.test", 0, "self-signed certificate");
    refuse(&good, "model.test", TLS1_1_VERSION, "TLS with model.test failed: ");
    certificate_free(&unknown);
    certificate_free(&alone);
    certificate_free(&wild);
}

/* Goal: an address is checked against the certificate's addresses and is not sent as a server name.  Method: IPv4 and IPv6.
 * Catches: SNI with an address, which servers refuse. */
static void test_addresses(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "::1"};
    struct tls_context *context = make_context();
    SSL_CTX *server = certificate_server(&good);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct line *line = line_open(context, hosts[i], server);

        begin(line, 16384);
        assert_int_equal(line->result, 0);
        assert_int_equal(tls_session_is_ready(line->client), 1);
        assert_null(SSL_get_servername(line->server, TLSEXT_NAMETYPE_host_name));
        line_close(line);
    }
    SSL_CTX_free(server);
    tls_context_free(context);
}

static int visit(struct tls_context *context, const char *host, SSL_CTX *server)
{
    struct line *line = line_open(context, host, server);
    int resumed;

    begin(line, 16384);
    assert_int_equal(line->result, 0);
    resumed = tls_session_is_resumed(line->client);
    line_close(line);
    return resumed;
}

/* Goal: the second visit is a short one, per host; the kept sessions are bounded.  Method: visits in TLS 1.2 and 1.3, another
 * host in between, then more hosts than there is room for.  Catches: a session for one host used for another, a cache that grows.
 */
static void test_resumption(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls_context *context = make_context();
        SSL_CTX *server = certificate_server(&good);

        SSL_CTX_set_max_proto_version(server, versions[i]);
        assert_int_equal(visit(context, "model.test", server), 0);
        assert_int_equal(visit(context, "other.test", server), 0);
        assert_int_equal(visit(context, "model.test", server), 1);
        assert_int_equal(visit(context, "model.test", server), 1);
        SSL_SESSION *kept = tls_context_resume(context, "model.test");
        for (unsigned host = 0; host < 2 * TLS_CACHE_MAX; host++) {
            char name[32];

            snprintf(name, sizeof name, "h%u.test", host);
            SSL_SESSION_up_ref(kept);
            tls_context_keep(context, name, kept);
            assert_non_null(tls_context_resume(context, name));
            if (host == TLS_CACHE_MAX - 3) /* full without having pushed anything out but nothing is newer than these two */
                assert_non_null(tls_context_resume(context, "model.test"));
        }
        assert_null(tls_context_resume(context, "model.test"));
        assert_null(tls_context_resume(context, "h0.test"));
        assert_int_equal(visit(context, "model.test", server), 0);
        SSL_CTX_free(server);
        tls_context_free(context);
    }
}

/* Goal: a session that ended in an error is not offered again.  Method: the server answers a resumed handshake with noise.
 * Catches: a poisoned cache that fails every later visit. */
static void test_failure_forgets_the_session(void **state)
{
    struct tls_context *context = make_context();
    SSL_CTX *server = certificate_server(&good);
    struct tls_session *client;
    struct why why = {""};

    (void)state;
    assert_int_equal(visit(context, "model.test", server), 0);
    assert_non_null(tls_context_resume(context, "model.test"));
    assert_int_equal(tls_session_create(context, "model.test", &client, &why), 0);
    assert_int_equal(tls_session_feed(client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, plain, NULL, &why), -EPROTO);
    assert_non_null(strstr(why.text, "TLS with model.test failed: "));
    assert_null(tls_context_resume(context, "model.test"));
    tls_session_free(client);
    assert_int_equal(visit(context, "model.test", server), 0);
    SSL_CTX_free(server);
    tls_context_free(context);
}

/* Goal: the owner may free the session inside the plain callback.  Method: as told, with two records in one feed.
 * Catches: use after free (ASan), a second callback. */
static void test_free_inside_plain(void **state)
{
    struct tls_context *context = make_context();
    SSL_CTX *server = certificate_server(&good);
    struct line *line = line_open(context, "model.test", server);
    size_t written;

    (void)state;
    begin(line, 16384);
    line->free_in_plain = true;
    assert_int_equal(SSL_write_ex(line->server, "one", 3, &written), 1);
    assert_int_equal(SSL_write_ex(line->server, "two", 3, &written), 1);
    carry(line, 16384);
    assert_int_equal(line->result, -ECANCELED);
    assert_int_equal(line->got_size, 3);
    line_close(line);
    SSL_CTX_free(server);
    tls_context_free(context);
}

/* Goal: our close_notify reaches the peer and nothing is written after it; what waits for a handshake is bounded.
 * Catches: a server that sees a truncation; 20 MiB that become more. */
static void test_close_and_limits(void **state)
{
    struct tls_context *context = make_context(), *none = NULL;
    SSL_CTX *server = certificate_server(&good);
    struct line *line = line_open(context, "model.test", server);
    size_t size = (size_t)20 << 20;
    char *bytes = calloc(1, size);

    (void)state;
    assert_int_equal(tls_session_write(line->client, bytes, size, &line->why), 0);
    assert_int_equal(tls_session_write(line->client, bytes, 1, &line->why), -ENOBUFS);
    line_close(line);
    line = line_open(context, "model.test", server);
    begin(line, 16384);
    tls_session_close(line->client);
    assert_int_equal(tls_session_write(line->client, "x", 1, &line->why), -EPIPE);
    carry(line, 16384);
    assert_int_equal(SSL_get_shutdown(line->server) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    line_close(line);
    assert_int_equal(tls_context_create(&(struct tls_files){.ca = "/nonexistent/ca.pem"}, &none, &(struct why){""}), -EINVAL);
    assert_null(none);
    free(bytes);
    SSL_CTX_free(server);
    tls_context_free(context);
}

/* ---- who we are ---- */

/* A server that lets in only whom the authority knows. */
static SSL_CTX *strict_server(int max_version)
{
    SSL_CTX *server = certificate_server(&good);

    SSL_CTX_set_max_proto_version(server, max_version);
    SSL_CTX_set_verify(server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(server), authority.x509);
    return server;
}

/* Shows who, or nobody, and asks something.  words NULL: it must be let in. */
static void introduce(const struct certificate *who, int max_version, const char *words)
{
    char *cert = who ? certificate_save(who) : NULL, *key = who ? certificate_save_key(who, NULL) : NULL, name[64] = "";
    SSL_CTX *server = strict_server(max_version);
    struct tls_context *context;
    struct why why = {""};

    if (tls_context_create(&(struct tls_files){ca_file, cert, key}, &context, &why) < 0)
        fail_msg("%s", why.text);
    for (int visit = 0; visit < 2; visit++) { /* the second one is resumed */
        struct line *line = line_open(context, "model.test", server);

        assert_int_equal(tls_session_write(line->client, "secret", 6, &line->why), 0);
        begin(line, 16384);
        if (words) {
            assert_int_equal(line->result, -EPROTO);
            if (!strstr(line->why.text, words))
                fail_msg("%s: %s", words, line->why.text);
            assert_int_equal(line->heard_size, 0);
        } else {
            X509 *seen = SSL_get0_peer_certificate(line->server);

            assert_int_equal(line->result, 0);
            assert_int_equal(line->heard_size, 6);
            assert_int_equal(tls_session_is_resumed(line->client), visit);
            X509_NAME_get_text_by_NID(X509_get_subject_name(seen), NID_commonName, name, sizeof name);
            assert_string_equal(name, "us");
        }
        line_close(line);
    }
    tls_context_free(context);
    SSL_CTX_free(server);
    if (who) {
        unlink(cert);
        unlink(key);
    }
    free(cert);
    free(key);
}

/* Goal: a server that demands a certificate gets ours and knows us; without one, or with one that it does not know, the words say so.
 * Method: both versions, whose servers say no at different times.  Catches: a certificate that is loaded and not shown; "unknown reason". */
static void test_identity(void **state)
{
    struct certificate us = certificate_make("us", "DNS:us", &authority, 3600);
    struct certificate old = certificate_make("us", "DNS:us", &authority, -60);
    struct certificate foreign = certificate_make("us", "DNS:us", &stranger, 3600);

    (void)state;
    introduce(&us, TLS1_3_VERSION, NULL);
    introduce(&us, TLS1_2_VERSION, NULL);
    introduce(NULL, TLS1_3_VERSION, "it demands a client certificate: set client_cert and client_key");
    introduce(NULL, TLS1_2_VERSION, "a service that demands a client certificate does so");
    introduce(&old, TLS1_3_VERSION, "it does not accept our client certificate");
    introduce(&old, TLS1_2_VERSION, "it does not accept our client certificate");
    introduce(&foreign, TLS1_3_VERSION, "it does not accept our client certificate");
    introduce(&foreign, TLS1_2_VERSION, "it does not accept our client certificate");
    certificate_free(&us);
    certificate_free(&old);
    certificate_free(&foreign);
}

/* Goal: files that cannot work are refused when they are read, by name and with what to do.  Method: a table.  Catches: a daemon that
 * starts and fails each call; one that waits for a passphrase on its terminal. */
static void test_identity_files(void **state)
{
    struct certificate us = certificate_make("us", "DNS:us", &authority, 3600);
    struct certificate other = certificate_make("other", "DNS:other", &authority, 3600);
    char *cert = certificate_save(&us), *key = certificate_save_key(&us, NULL), *other_key = certificate_save_key(&other, NULL),
         *locked = certificate_save_key(&us, "open sesame");
    const struct {
        const char *cert, *key, *words;
    } rows[] = {
        {cert, key, NULL},
        {"/nonexistent/c.pem", key, "client_cert /nonexistent/c.pem cannot be read: No such file"},
        {cert, "/nonexistent/k.pem", "client_key /nonexistent/k.pem cannot be read: No such file"},
        {key, key, "no certificate can be read from it"},
        {cert, cert, "no key can be read from it"},
        {cert, other_key, "is not the key of client_cert"},
        {cert, locked, "has a passphrase"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_context *context = NULL;
        struct why why = {""};
        int r = tls_context_create(&(struct tls_files){ca_file, rows[i].cert, rows[i].key}, &context, &why);

        if (r != (rows[i].words ? -EINVAL : 0) || (rows[i].words && !strstr(why.text, rows[i].words)))
            fail_msg("row %zu: %d %s", i, r, why.text);
        assert_int_equal(ERR_peek_error(), 0);
        tls_context_free(context);
    }
    unlink(cert);
    unlink(key);
    unlink(other_key);
    unlink(locked);
    free(cert);
    free(key);
    free(other_key);
    free(locked);
    certificate_free(&us);
    certificate_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversation_in_pieces),
        cmocka_unit_test(test_refusals_are_named),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_identity_files),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_failure_forgets_the_session),
        cmocka_unit_test(test_free_inside_plain),
        cmocka_unit_test(test_close_and_limits),
    };

    return cmocka_run_group_tests(tests, make_certificates, free_certificates);
}
