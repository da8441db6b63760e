/* What the keys of an app are called where a key itself must not be seen: in counters, logs and listings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config_load.h"

struct named {
    char **name;
    size_t index;
};

static int compare_names(const void *a, const void *b)
{
    const struct named *left = a, *right = b;
    int order = strcmp(*left->name, *right->name);

    return order ? order : (left->index > right->index) - (left->index < right->index);
}

static char *name_key(const char *text, size_t number)
{
    const char *slash = strrchr(text, '/');
    char name[32];

    if (strncmp(text, "env:", 4) == 0)
        return strdup(text + 4);
    if (strncmp(text, "file:", 5) == 0)
        return strdup(slash ? slash + 1 : text + 5);
    snprintf(name, sizeof name, "key-%zu", number);
    return strdup(name);
}

/* The second and later of one name get -2, -3 and so on. */
static int number_repeated(struct config_load *load, struct config_list *names)
{
    struct named *sorted = calloc(names->count + 1, sizeof *sorted);
    size_t repeated = 1;
    int r = 0;

    if (!sorted)
        return config_no_memory(load->why);
    for (size_t i = 0; i < names->count; i++)
        sorted[i] = (struct named){&names->items[i], i};
    qsort(sorted, names->count, sizeof *sorted, compare_names);
    for (size_t i = 1, first = 0; i < names->count && r == 0; i++) {
        char *numbered;
        if (strcmp(*sorted[first].name, *sorted[i].name) != 0) {
            first = i;
            repeated = 1;
            continue;
        }
        if (asprintf(&numbered, "%s-%zu", *sorted[i].name, ++repeated) == -1) {
            r = config_no_memory(load->why);
            break;
        }
        free(*sorted[i].name);
        *sorted[i].name = numbered;
    }
    free(sorted);
    return r;
}

int config_fill_key_names(struct config_load *load, const struct config_node *node, struct config_app *app)
{
    const struct config_node *keys = config_node_find(node, "keys");
    struct config_list *names = &app->key_names;

    if (!(names->items = calloc(app->keys.count + 1, sizeof *names->items)))
        return config_no_memory(load->why);
    for (; names->count < app->keys.count; names->count++)
        if (!(names->items[names->count] = name_key(keys->values[names->count], names->count + 1)))
            return config_no_memory(load->why);
    return number_repeated(load, names);
}
