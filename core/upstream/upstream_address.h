/* upstream/upstream_address.h - internal to the module: the addresses of a name.  Pure. */
#ifndef UPSTREAM_ADDRESS_H
#define UPSTREAM_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define RESOLVER_ADDRESSES_MAX 8u

struct upstream_address {
    struct sockaddr_storage address; /* port 0 */
    socklen_t size;
};

struct upstream_answer {
    int error; /* 0, or what getaddrinfo said (EAI_*): gai_strerror */
    uint32_t count;
    struct upstream_address address[RESOLVER_ADDRESSES_MAX]; /* in the order to try them: families take turns */
};

/* upstream_answer_take - adds the addresses of a list from getaddrinfo as far as there is room, families taking turns: the system
 * gives its preferred one first, often all of it, and a family that does not work must not use up all attempts. */
struct addrinfo;
void upstream_answer_take(struct upstream_answer *answer, const struct addrinfo *list);

/* upstream_answer_from_number - host is an address itself: *ret_answer is that one.  Else false. */
bool upstream_answer_from_number(struct upstream_answer *ret_answer, const char *host);

/* upstream_answer_prefer - puts this address first, if it is among them; the port does not matter. */
void upstream_answer_prefer(struct upstream_answer *answer, const struct upstream_address *address);

#endif
