/* base/list.h - a doubly linked list whose links live in the elements.  The head is a link too; an empty list points at itself.
 * list_remove leaves the element pointing at itself, so removing twice is harmless and list_is_linked can be asked. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

#define list_entry(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* Walks; the element at hand may be removed, others may not. */
#define list_for_each(link, spare, head)                                                                                            \
    for (struct list *link = (head)->next, *spare = link->next; link != (head); link = spare, spare = link->next)

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline bool list_is_linked(const struct list *element)
{
    return element->next && element->next != element;
}

static inline void list_append(struct list *head, struct list *element)
{
    element->prev = head->prev;
    element->next = head;
    head->prev->next = element;
    head->prev = element;
}

static inline void list_prepend(struct list *head, struct list *element)
{
    list_append(head->next, element);
}

static inline void list_remove(struct list *element)
{
    element->prev->next = element->next;
    element->next->prev = element->prev;
    list_init(element);
}

#endif
