/* authorize/authorize.c - the services, and how a question finds what is known already. */
#include "core/authorize/authorize.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "core/authorize/authorize_state.h"
#include "core/base/clock.h"
#include "core/base/fd.h"

static void exchanges_ended(void *owner, int fd)
{
    struct authorize *authorize = owner;
    struct authorize_exchange *exchange;
    uint64_t count;

    if (read(fd, &count, sizeof count) == -1)
        return;
    while ((exchange = authorize_thread_take(authorize->thread)))
        authorize_call_back(exchange);
}

int authorize_create(struct uring_loop *loop, struct authorize **ret_authorize, struct why *why)
{
    struct authorize *authorize = calloc(1, sizeof *authorize);
    int r;

    if (!authorize)
        return why_set(why, -ENOMEM, "no memory to ask authorize services");
    authorize->loop = loop;
    authorize->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (authorize->eventfd == -1 || getrandom(authorize->key, sizeof authorize->key, 0) != (ssize_t)sizeof authorize->key) {
        r = why_errno(why, errno, "no eventfd or no random key to ask authorize services");
        goto fail;
    }
    r = uring_watch_open(loop, authorize->eventfd, exchanges_ended, authorize, &authorize->watch);
    if (r < 0) {
        why_errno(why, -r, "answers of authorize services cannot be watched for");
        goto fail;
    }
    r = authorize_thread_start(authorize->eventfd, &authorize->thread, why);
    if (r < 0)
        goto fail_watched;
    *ret_authorize = authorize;
    return 0;
fail_watched:
    uring_watch_close(authorize->watch);
    uring_close_fd(loop, authorize->eventfd);
    authorize->eventfd = -1;
fail:
    fd_close(&authorize->eventfd);
    free(authorize);
    return r;
}

void authorize_free(struct authorize *authorize)
{
    if (!authorize)
        return;
    authorize_thread_stop(authorize->thread, authorize_call_free);
    uring_watch_close(authorize->watch);
    uring_close_fd(authorize->loop, authorize->eventfd);
    explicit_bzero(authorize->key, sizeof authorize->key);
    free(authorize);
}

int authorize_service_create(struct authorize *authorize, const char *app, const struct authorize_options *options,
                             void (*took)(void *owner, uint64_t ns), void *owner, struct authorize_service **ret_service)
{
    struct authorize_service *service = calloc(1, sizeof *service);

    if (!service)
        return -ENOMEM;
    list_init(&service->waiting);
    service->authorize = authorize;
    service->place = authorize_place_make(options);
    service->app = strdup(app);
    service->secret = strdup(options->secret);
    service->timeout_ms = options->timeout_ms;
    service->cache_s = options->cache_s;
    service->cache_entries = options->cache_entries;
    service->took = took;
    service->owner = owner;
    if (!service->place || !service->app || !service->secret || authorize_cache_create(options->cache_entries, &service->cache) < 0) {
        authorize_service_free(service);
        return -ENOMEM;
    }
    service->place->service = service;
    *ret_service = service;
    return 0;
}

bool authorize_service_is(const struct authorize_service *service, const struct authorize_options *options)
{
    size_t size = strlen(options->secret);

    return strcmp(service->place->at.url, options->url) == 0 && strcmp(service->place->at.ca_file, options->ca_file) == 0 &&
           strlen(service->secret) == size && CRYPTO_memcmp(service->secret, options->secret, size) == 0 &&
           service->timeout_ms == options->timeout_ms && service->cache_s == options->cache_s &&
           service->cache_entries == options->cache_entries;
}

void authorize_service_free(struct authorize_service *service)
{
    if (!service)
        return;
    for (uint32_t i = 0; i < AUTHORIZE_BUCKETS; i++)
        while (service->calls[i])
            authorize_call_drop(service->calls[i]);
    authorize_cache_free(service->cache);
    if (service->place)
        service->place->service = NULL; /* calls that the thread has come back to nobody */
    authorize_place_leave(service->place);
    if (service->secret)
        explicit_bzero(service->secret, strlen(service->secret));
    free(service->secret);
    free(service->app);
    free(service);
}

/* All that an answer may depend on; lengths keep neighbouring fields apart.  The address is told to the service for its records only. */
static bool digest_of(const struct authorize *authorize, const struct authorize_question *question, uint8_t ret_digest[AUTHORIZE_DIGEST])
{
    unsigned char text[4 * 256 + AUTHORIZE_CREDENTIAL_MAX];
    const struct span parts[] = {span_text(question->app), span_text(question->transport), span_text(question->kind), question->credential};
    unsigned int made = 0;
    size_t size = 0;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint32_t length = (uint32_t)parts[i].size;
        if (parts[i].size + sizeof length > sizeof text - size)
            return false;
        memcpy(text + size, &length, sizeof length);
        memcpy(text + size + sizeof length, parts[i].data, parts[i].size);
        size += sizeof length + parts[i].size;
    }
    bool good = HMAC(EVP_sha256(), authorize->key, sizeof authorize->key, text, size, ret_digest, &made) && made == AUTHORIZE_DIGEST;
    explicit_bzero(text, size);
    return good;
}

/* Nothing can be asked now. */
static int refuse(struct authorize_service *service, const char *why, const struct authorize_verdict *verdict, struct authorize_verdict *ret_verdict)
{
    service->counts.failures++;
    authorize_complain(service, why);
    *ret_verdict = *verdict;
    return 1;
}

int authorize_ask(struct authorize_service *service, const struct authorize_question *question, struct authorize_ask *ask,
                  struct authorize_verdict *ret_verdict)
{
    uint8_t digest[AUTHORIZE_DIGEST];

    list_init(&ask->link);
    if (!digest_of(service->authorize, question, digest))
        return refuse(service, "the credential cannot be hashed", &authorize_failed, ret_verdict);
    if (authorize_cache_find(service->cache, digest, clock_now_ns(), ret_verdict)) {
        service->counts.cached++;
        return 1;
    }
    struct authorize_call *call = *authorize_call_find(service, digest);
    if (call) {
        service->counts.joined++;
    } else if (service->place->running >= AUTHORIZE_CALLS_MAX && service->waiting_count >= AUTHORIZE_WAITING_MAX) {
        service->counts.full++;
        return refuse(service, "too many questions wait for it", &authorize_overload, ret_verdict);
    } else {
        call = authorize_call_start(service, question, digest);
        if (!call)
            return refuse(service, "no memory", &authorize_overload, ret_verdict);
    }
    list_append(&call->asks, &ask->link);
    return 0;
}

void authorize_forget(struct authorize_ask *ask)
{
    if (list_is_linked(&ask->link))
        list_remove(&ask->link);
}

void authorize_service_counts(const struct authorize_service *service, struct authorize_counts *ret_counts)
{
    *ret_counts = service->counts;
    ret_counts->entries = authorize_cache_count(service->cache);
    ret_counts->running = service->place->running;
    ret_counts->waiting = service->waiting_count;
}
