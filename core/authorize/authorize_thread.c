#include "core/authorize/authorize_thread.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>

#include "core/authorize/authorize_reply.h"
#include "core/base/clock.h"
#include "core/base/log.h"

_Static_assert(LIBCURL_VERSION_NUM >= 0x075700, "libcurl 7.87: a look-up that hangs must not hold up curl_easy_cleanup");

#define CONNECTIONS_KEPT 64L /* idle ones, of all services */
#define IDLE_S 60L
#define HEADERS_MAX 65536u

/* One transfer: libcurl's handle and what it sends. */
struct transfer {
    struct list link;
    CURL *easy;
    struct curl_slist *headers;
    struct authorize_exchange *exchange;
    uint64_t begun_ns;
};

struct authorize_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    struct list given, ended; /* authorize_exchange.link, under the lock */
    bool stop;                /* under the lock */
    int eventfd;
    CURLM *multi;
    struct list transfers; /* the thread's own */
};

/* ---- libcurl's memory: requests and headers with credentials pass through it, so what it gives back is wiped first ---- */

static void wiping_free(void *memory)
{
    if (memory)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static void *wiping_realloc(void *memory, size_t size)
{
    size_t had = memory ? malloc_usable_size(memory) : 0;
    void *larger = malloc(size ? size : 1);

    if (!larger)
        return NULL;
    if (memory)
        memcpy(larger, memory, had < size ? had : size);
    wiping_free(memory);
    return larger;
}

static char *plain_strdup(const char *text)
{
    return strdup(text);
}

static void *plain_malloc(size_t size)
{
    return malloc(size);
}

static void *plain_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

/* ---- one transfer ---- */

static size_t on_reply(char *data, size_t one, size_t size, void *arg)
{
    struct authorize_exchange *exchange = arg;

    (void)one;
    if (size > AUTHORIZE_REPLY_MAX - exchange->reply_size) {
        snprintf(exchange->error, sizeof exchange->error, "its answer is longer than %u bytes", AUTHORIZE_REPLY_MAX);
        return 0; /* ends the transfer */
    }
    char *larger = wiping_realloc(exchange->reply, exchange->reply_size + size + 1); /* a service may say back what it was asked */
    if (!larger)
        return 0;
    exchange->reply = larger;
    memcpy(exchange->reply + exchange->reply_size, data, size);
    exchange->reply_size += size;
    return size;
}

static size_t on_header(char *data, size_t one, size_t size, void *arg)
{
    struct authorize_exchange *exchange = arg;

    (void)data;
    (void)one;
    exchange->header_bytes += size;
    return exchange->header_bytes > HEADERS_MAX ? 0 : size;
}

static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static void set_security(CURL *easy, const struct authorize_target *target)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* nor one of the environment: credentials go where the operator has written */
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!*target->ca_file)
        return;
    curl_easy_setopt(easy, CURLOPT_CAINFO, target->ca_file);
    curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these and no others */
}

static int set_headers(struct transfer *transfer, const struct authorize_target *target)
{
    const char *lines[] = {"Content-Type: application/json", "Accept: application/json", "Expect:", target->bearer};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!*lines[i])
            continue;
        struct curl_slist *longer = curl_slist_append(transfer->headers, lines[i]);
        if (!longer)
            return -ENOMEM;
        transfer->headers = longer;
    }
    return 0;
}

static int set_up(struct transfer *transfer)
{
    struct authorize_exchange *exchange = transfer->exchange;
    const struct authorize_target *target = exchange->target;
    CURL *easy = transfer->easy;

    if (set_headers(transfer, target) < 0)
        return -ENOMEM;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "umbel");
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->headers);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_size);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)exchange->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_S);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    set_security(easy, target);
    return curl_easy_setopt(easy, CURLOPT_URL, target->url) == CURLE_OK ? 0 : -ENOMEM;
}

static void transfer_free(struct authorize_thread *thread, struct transfer *transfer)
{
    if (transfer->easy) {
        curl_multi_remove_handle(thread->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
    }
    curl_slist_free_all(transfer->headers);
    list_remove(&transfer->link);
    free(transfer);
}

static void hand_back(struct authorize_thread *thread, struct authorize_exchange *exchange)
{
    const uint64_t one = 1;

    pthread_mutex_lock(&thread->lock);
    list_append(&thread->ended, &exchange->link);
    pthread_mutex_unlock(&thread->lock);
    if (write(thread->eventfd, &one, sizeof one) == -1 && errno != EAGAIN)
        log_error("the loop cannot be woken for an answer of an authorize service: %s", strerror(errno));
}

static void begin(struct authorize_thread *thread, struct authorize_exchange *exchange)
{
    struct transfer *transfer = calloc(1, sizeof *transfer);

    if (transfer) {
        list_init(&transfer->link);
        transfer->exchange = exchange;
        transfer->begun_ns = clock_now_ns();
        transfer->easy = curl_easy_init();
    }
    if (!transfer || !transfer->easy || set_up(transfer) < 0 || curl_multi_add_handle(thread->multi, transfer->easy) != CURLM_OK) {
        snprintf(exchange->error, sizeof exchange->error, "no memory");
        if (transfer)
            transfer_free(thread, transfer);
        hand_back(thread, exchange);
        return;
    }
    list_append(&thread->transfers, &transfer->link);
}

static void finish(struct authorize_thread *thread, CURL *easy, CURLcode code)
{
    struct transfer *transfer = NULL;
    struct authorize_exchange *exchange;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    exchange = transfer->exchange;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &exchange->status);
    exchange->whole = code == CURLE_OK;
    exchange->late = code == CURLE_OPERATION_TIMEDOUT;
    exchange->took_ns = clock_now_ns() - transfer->begun_ns;
    if (code != CURLE_OK && !*exchange->error)
        snprintf(exchange->error, sizeof exchange->error, "%s", curl_easy_strerror(code));
    transfer_free(thread, transfer);
    hand_back(thread, exchange);
}

/* ---- the thread ---- */

/* Moves what was given to fresh; false: it is over. */
static bool take_given(struct authorize_thread *thread, struct list *fresh)
{
    pthread_mutex_lock(&thread->lock);
    bool stop = thread->stop;
    while (!stop && !list_is_empty(&thread->given)) {
        struct list *link = thread->given.next;
        list_remove(link);
        list_append(fresh, link);
    }
    pthread_mutex_unlock(&thread->lock);
    return !stop;
}

static void *thread_main(void *argument)
{
    struct authorize_thread *thread = argument;
    struct list fresh;
    int running, left;

    list_init(&fresh);
    while (take_given(thread, &fresh)) {
        CURLMsg *message;
        while (!list_is_empty(&fresh)) {
            struct authorize_exchange *exchange = list_entry(fresh.next, struct authorize_exchange, link);
            list_remove(&exchange->link);
            begin(thread, exchange);
        }
        curl_multi_perform(thread->multi, &running);
        while ((message = curl_multi_info_read(thread->multi, &left)))
            if (message->msg == CURLMSG_DONE)
                finish(thread, message->easy_handle, message->data.result);
        curl_multi_poll(thread->multi, NULL, 0, 60000, NULL); /* until something happens, or authorize_thread_give wakes it */
    }
    while (!list_is_empty(&thread->transfers)) {
        struct transfer *transfer = list_entry(thread->transfers.next, struct transfer, link);
        struct authorize_exchange *exchange = transfer->exchange;
        transfer_free(thread, transfer);
        list_append(&thread->ended, &exchange->link); /* nobody else looks any more but after the join */
    }
    return NULL;
}

/* ---- the loop's side ---- */

int authorize_thread_start(int eventfd, struct authorize_thread **ret_thread, struct why *why)
{
    struct authorize_thread *thread = calloc(1, sizeof *thread);
    int r;

    if (!thread)
        return why_set(why, -ENOMEM, "no memory to ask authorize services");
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, plain_malloc, wiping_free, wiping_realloc, plain_strdup, plain_calloc) != CURLE_OK ||
        !(thread->multi = curl_multi_init())) {
        free(thread);
        return why_set(why, -ENOMEM, "libcurl cannot be used to ask authorize services");
    }
    curl_multi_setopt(thread->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT);
    pthread_mutex_init(&thread->lock, NULL);
    list_init(&thread->given);
    list_init(&thread->ended);
    list_init(&thread->transfers);
    thread->eventfd = eventfd;
    r = pthread_create(&thread->thread, NULL, thread_main, thread);
    if (r != 0) {
        curl_multi_cleanup(thread->multi);
        curl_global_cleanup();
        pthread_mutex_destroy(&thread->lock);
        free(thread);
        return why_errno(why, r, "no thread to ask authorize services");
    }
    *ret_thread = thread;
    return 0;
}

void authorize_thread_give(struct authorize_thread *thread, struct authorize_exchange *exchange)
{
    pthread_mutex_lock(&thread->lock);
    list_append(&thread->given, &exchange->link);
    pthread_mutex_unlock(&thread->lock);
    curl_multi_wakeup(thread->multi);
}

struct authorize_exchange *authorize_thread_take(struct authorize_thread *thread)
{
    struct authorize_exchange *exchange = NULL;

    pthread_mutex_lock(&thread->lock);
    if (!list_is_empty(&thread->ended)) {
        exchange = list_entry(thread->ended.next, struct authorize_exchange, link);
        list_remove(&exchange->link);
    }
    pthread_mutex_unlock(&thread->lock);
    return exchange;
}

void authorize_thread_stop(struct authorize_thread *thread, void (*drop)(struct authorize_exchange *exchange))
{
    if (!thread)
        return;
    pthread_mutex_lock(&thread->lock);
    thread->stop = true;
    pthread_mutex_unlock(&thread->lock);
    curl_multi_wakeup(thread->multi);
    pthread_join(thread->thread, NULL);
    struct list *lists[] = {&thread->given, &thread->ended};
    for (size_t i = 0; i < 2; i++)
        while (!list_is_empty(lists[i])) {
            struct authorize_exchange *exchange = list_entry(lists[i]->next, struct authorize_exchange, link);
            list_remove(&exchange->link);
            drop(exchange);
        }
    curl_multi_cleanup(thread->multi);
    curl_global_cleanup();
    pthread_mutex_destroy(&thread->lock);
    free(thread);
}
