#include "core/upstream/upstream_resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/upstream/upstream_url.h"

/* A question on its way to the thread and back.  Owned by one list at a time. */
struct job {
    struct list link;
    char host[UPSTREAM_HOST_MAX + 1];
    struct upstream_answer answer;
};

/* What both threads touch, all of it under the lock; the last of the two to leave frees it. */
struct shared {
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct list questions, answers;
    void (*source)(const char *host, struct upstream_answer *ret_answer);
    int eventfd;
    int users;
    bool stop, busy;
};

/* What is known about one name; loop thread only. */
struct name {
    struct uring_loop *loop;
    char host[UPSTREAM_HOST_MAX + 1];
    bool used, asking;
    uint64_t fresh_until_ns, used_ns;
    struct upstream_answer answer; /* the last good one; count 0: none */
    struct list waiting;           /* upstream_lookup.link */
    struct uring_timer late;       /* set while they wait and there is an old answer */
};

struct upstream_resolver {
    struct uring_loop *loop;
    struct shared *shared;
    struct uring_watch *watch;
    pthread_t thread;
    struct name names[RESOLVER_NAMES_MAX];
};

/* ---- the thread ---- */

static void ask_system(const char *host, struct upstream_answer *ret_answer)
{
    /* Not AI_ADDRCONFIG: it hides `localhost` on a machine without a network; a family that is not there fails at once anyway. */
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;

    ret_answer->error = getaddrinfo(host, NULL, &hints, &list);
    if (ret_answer->error != 0)
        return;
    upstream_answer_take(ret_answer, list);
    freeaddrinfo(list);
    if (ret_answer->count == 0)
        ret_answer->error = EAI_NODATA;
}

static void free_jobs(struct list *jobs)
{
    while (!list_is_empty(jobs)) {
        struct job *job = list_entry(jobs->next, struct job, link);

        list_remove(&job->link);
        free(job);
    }
}

/* Called with the lock held; leaves without it. */
static void shared_leave(struct shared *shared)
{
    bool last = --shared->users == 0;

    pthread_mutex_unlock(&shared->lock);
    if (!last)
        return;
    free_jobs(&shared->questions);
    free_jobs(&shared->answers);
    close(shared->eventfd);
    pthread_cond_destroy(&shared->asked);
    pthread_mutex_destroy(&shared->lock);
    free(shared);
}

static void *thread_main(void *argument)
{
    struct shared *shared = argument;
    const uint64_t one = 1;

    pthread_mutex_lock(&shared->lock);
    while (!shared->stop) {
        struct job *job;

        if (list_is_empty(&shared->questions)) {
            pthread_cond_wait(&shared->asked, &shared->lock);
            continue;
        }
        job = list_entry(shared->questions.next, struct job, link);
        list_remove(&job->link);
        shared->busy = true;
        void (*source)(const char *host, struct upstream_answer *ret_answer) = shared->source;
        pthread_mutex_unlock(&shared->lock);
        source(job->host, &job->answer);
        pthread_mutex_lock(&shared->lock);
        shared->busy = false;
        list_append(&shared->answers, &job->link);
        if (write(shared->eventfd, &one, sizeof one) == -1)
            log_error("the resolver cannot wake the loop: %s", strerror(errno));
    }
    shared_leave(shared);
    return NULL;
}

/* ---- the loop's side ---- */

static struct name *find_name(struct upstream_resolver *resolver, const char *host)
{
    for (size_t i = 0; i < RESOLVER_NAMES_MAX; i++)
        if (resolver->names[i].used && strcmp(resolver->names[i].host, host) == 0)
            return &resolver->names[i];
    return NULL;
}

static void tell(struct name *name, const struct upstream_answer *answer)
{
    while (!list_is_empty(&name->waiting)) {
        struct upstream_lookup *lookup = list_entry(name->waiting.next, struct upstream_lookup, link);

        list_remove(&lookup->link);
        lookup->found(lookup, answer);
    }
}

/* Who has an old answer does not wait for a name server that is silent. */
static void too_late(struct uring_timer *timer)
{
    struct name *name = list_entry(timer, struct name, late);
    struct upstream_answer answer = name->answer;

    log_warn("%s is still being looked up: going on with the addresses known before", name->host);
    name->fresh_until_ns = uring_loop_now_ns(name->loop) + RESOLVER_RETRY_S * CLOCK_S;
    tell(name, &answer);
}

/* A free place, or that of the name not asked for longest.  NULL: all are being asked for right now. */
static struct name *make_name(struct upstream_resolver *resolver, const char *host)
{
    struct name *place = NULL;

    for (size_t i = 0; i < RESOLVER_NAMES_MAX; i++) {
        struct name *name = &resolver->names[i];

        if (name->used && name->asking)
            continue;
        if (!name->used) {
            place = name;
            break;
        }
        if (!place || name->used_ns < place->used_ns)
            place = name;
    }
    if (!place)
        return NULL;
    memset(place, 0, sizeof *place);
    strcpy(place->host, host);
    place->used = true;
    place->loop = resolver->loop;
    place->late.fired = too_late;
    list_init(&place->waiting);
    return place;
}

static void take_answer(struct upstream_resolver *resolver, const struct job *job)
{
    struct name *name = find_name(resolver, job->host);
    uint64_t now_ns = uring_loop_now_ns(resolver->loop);
    struct upstream_answer answer = job->answer;

    if (!name)
        return;
    name->asking = false;
    uring_timer_clear(resolver->loop, &name->late);
    if (answer.error == 0) {
        name->answer = answer;
        name->fresh_until_ns = now_ns + RESOLVER_FRESH_S * CLOCK_S;
    } else if (name->answer.count > 0) {
        log_warn("%s cannot be looked up (%s): going on with the addresses known before", job->host, gai_strerror(answer.error));
        name->fresh_until_ns = now_ns + RESOLVER_RETRY_S * CLOCK_S;
        answer = name->answer;
    }
    tell(name, &answer); /* a copy: a callback may ask for more names */
}

static void answers_came(void *owner, int fd)
{
    struct upstream_resolver *resolver = owner;
    struct list answers;
    uint64_t count;

    if (read(fd, &count, sizeof count) == -1)
        return;
    list_init(&answers);
    pthread_mutex_lock(&resolver->shared->lock);
    while (!list_is_empty(&resolver->shared->answers)) {
        struct list *link = resolver->shared->answers.next;

        list_remove(link);
        list_append(&answers, link);
    }
    pthread_mutex_unlock(&resolver->shared->lock);
    while (!list_is_empty(&answers)) {
        struct job *job = list_entry(answers.next, struct job, link);

        list_remove(&job->link);
        take_answer(resolver, job);
        free(job);
    }
}

int upstream_resolver_ask(struct upstream_resolver *resolver, const char *host, struct upstream_lookup *lookup,
                          struct upstream_answer *ret_answer)
{
    uint64_t now_ns = uring_loop_now_ns(resolver->loop);
    struct name *name;
    struct job *job;

    list_init(&lookup->link);
    if (upstream_answer_from_number(ret_answer, host))
        return 1;
    name = find_name(resolver, host);
    if (!name)
        name = make_name(resolver, host);
    if (!name)
        return -ENOBUFS;
    name->used_ns = now_ns;
    if (name->answer.count > 0 && now_ns < name->fresh_until_ns) {
        *ret_answer = name->answer;
        return 1;
    }
    if (!name->asking) {
        job = calloc(1, sizeof *job);
        if (!job)
            return -ENOMEM;
        strcpy(job->host, host);
        pthread_mutex_lock(&resolver->shared->lock);
        list_append(&resolver->shared->questions, &job->link);
        pthread_cond_signal(&resolver->shared->asked);
        pthread_mutex_unlock(&resolver->shared->lock);
        name->asking = true;
    }
    list_append(&name->waiting, &lookup->link);
    if (name->answer.count > 0 && !uring_timer_is_set(&name->late))
        uring_timer_set(resolver->loop, &name->late, RESOLVER_PATIENCE_NS);
    return 0;
}

void upstream_resolver_prefer(struct upstream_resolver *resolver, const char *host, const struct upstream_address *address)
{
    struct name *name = find_name(resolver, host);

    if (name)
        upstream_answer_prefer(&name->answer, address);
}

void upstream_resolver_forget(struct upstream_lookup *lookup)
{
    if (list_is_linked(&lookup->link))
        list_remove(&lookup->link);
}

void upstream_resolver_expire(struct upstream_resolver *resolver)
{
    for (size_t i = 0; i < RESOLVER_NAMES_MAX; i++)
        resolver->names[i].fresh_until_ns = 0;
}

void upstream_resolver_set_source(struct upstream_resolver *resolver,
                                  void (*source)(const char *host, struct upstream_answer *ret_answer))
{
    pthread_mutex_lock(&resolver->shared->lock);
    resolver->shared->source = source;
    pthread_mutex_unlock(&resolver->shared->lock);
}

static struct shared *shared_create(void)
{
    struct shared *shared = calloc(1, sizeof *shared);

    if (!shared)
        return NULL;
    shared->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (shared->eventfd == -1) {
        free(shared);
        return NULL;
    }
    pthread_mutex_init(&shared->lock, NULL);
    pthread_cond_init(&shared->asked, NULL);
    list_init(&shared->questions);
    list_init(&shared->answers);
    shared->source = ask_system;
    shared->users = 1;
    return shared;
}

int upstream_resolver_create(struct uring_loop *loop, struct upstream_resolver **ret_resolver, struct why *why)
{
    struct upstream_resolver *resolver = calloc(1, sizeof *resolver);
    int r;

    if (!resolver)
        return why_set(why, -ENOMEM, "no memory for the resolver");
    resolver->loop = loop;
    resolver->shared = shared_create();
    if (!resolver->shared) {
        free(resolver);
        return why_set(why, -ENOMEM, "no memory or no descriptor for the resolver");
    }
    r = uring_watch_open(loop, resolver->shared->eventfd, answers_came, resolver, &resolver->watch);
    if (r < 0) {
        why_errno(why, -r, "the resolver's wake-ups cannot be watched");
        goto fail;
    }
    resolver->shared->users = 2;
    r = -pthread_create(&resolver->thread, NULL, thread_main, resolver->shared);
    if (r < 0) {
        resolver->shared->users = 1;
        uring_watch_close(resolver->watch);
        why_errno(why, -r, "the resolver's thread cannot be started");
        goto fail;
    }
    *ret_resolver = resolver;
    return 0;
fail:
    pthread_mutex_lock(&resolver->shared->lock);
    shared_leave(resolver->shared);
    free(resolver);
    return r;
}

void upstream_resolver_free(struct upstream_resolver *resolver)
{
    struct shared *shared;
    bool busy;

    if (!resolver)
        return;
    shared = resolver->shared;
    for (size_t i = 0; i < RESOLVER_NAMES_MAX; i++)
        uring_timer_clear(resolver->loop, &resolver->names[i].late);
    uring_watch_close(resolver->watch);
    pthread_mutex_lock(&shared->lock);
    shared->stop = true;
    busy = shared->busy;
    pthread_cond_signal(&shared->asked);
    shared_leave(shared);
    /* A look-up may take half a minute: who stops does not wait for it; the thread cleans up behind itself. */
    if (busy)
        pthread_detach(resolver->thread);
    else
        pthread_join(resolver->thread, NULL);
    free(resolver);
}
