#include "core/upstream/upstream_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

void upstream_answer_take(struct upstream_answer *answer, const struct addrinfo *list)
{
    const struct addrinfo *first = list, *other = list;
    int family = list->ai_family;

    while ((first || other) && answer->count < RESOLVER_ADDRESSES_MAX) {
        const struct addrinfo **turn;

        while (first && first->ai_family != family)
            first = first->ai_next;
        while (other && other->ai_family == family)
            other = other->ai_next;
        turn = (answer->count % 2 == 0 && first) || !other ? &first : &other;
        if (!*turn)
            break;
        if ((*turn)->ai_addrlen <= sizeof answer->address[0].address) {
            struct upstream_address *address = &answer->address[answer->count++];

            memcpy(&address->address, (*turn)->ai_addr, (*turn)->ai_addrlen);
            address->size = (*turn)->ai_addrlen;
        }
        *turn = (*turn)->ai_next;
    }
}

bool upstream_answer_from_number(struct upstream_answer *ret_answer, const char *host)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    memset(ret_answer, 0, sizeof *ret_answer);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&ret_answer->address[0].address, &v4, sizeof v4);
        ret_answer->address[0].size = sizeof v4;
    } else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(&ret_answer->address[0].address, &v6, sizeof v6);
        ret_answer->address[0].size = sizeof v6;
    } else {
        return false;
    }
    ret_answer->count = 1;
    return true;
}

static bool same_address(const struct upstream_address *a, const struct upstream_address *b)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)(const void *)&a->address,
                             *b4 = (const struct sockaddr_in *)(const void *)&b->address;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)(const void *)&a->address,
                              *b6 = (const struct sockaddr_in6 *)(const void *)&b->address;

    if (a->address.ss_family != b->address.ss_family)
        return false;
    return a->address.ss_family == AF_INET ? a4->sin_addr.s_addr == b4->sin_addr.s_addr
                                           : memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

void upstream_answer_prefer(struct upstream_answer *answer, const struct upstream_address *address)
{
    for (uint32_t i = 1; i < answer->count; i++) {
        struct upstream_address better = answer->address[i];

        if (!same_address(&better, address))
            continue;
        memmove(answer->address + 1, answer->address, i * sizeof better);
        answer->address[0] = better;
        return;
    }
}
