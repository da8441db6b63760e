#include "core/json/json_read.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/json/json_check.h"
#include "core/json/json_utf8.h"

/* struct umbel_json is cJSON's node under another name: only this file knows. */

#define QUADRATIC_MAX 16u  /* members up to which all pairs are compared */
#define WHOLE_MAX 9007199254740992.0 /* 2^53: above it a double skips integers */
#define SHOWN_MAX 40u      /* bytes of a member name in an error text */

static const cJSON *node(const struct umbel_json *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct umbel_json *handle(const cJSON *value)
{
    return (const struct umbel_json *)(const void *)value;
}

static int duplicate(const char *name, struct why *why)
{
    char shown[SHOWN_MAX + 1];
    size_t size = 0;

    while (name[size] && size < SHOWN_MAX) {
        shown[size] = (unsigned char)name[size] < 0x20 || name[size] == 0x7f ? '?' : name[size];
        size++;
    }
    while (name[size] && size > 0 && (name[size] & 0xc0) == 0x80) /* not through a character */
        size--;
    shown[size] = '\0';
    return why_set(why, -EBADMSG, "member \"%s\" appears twice in one object", shown);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_many(const cJSON *object, size_t count, struct why *why)
{
    const char **names = malloc(count * sizeof *names);
    size_t i = 0;
    int r = 0;

    if (!names)
        return why_set(why, -ENOMEM, "out of memory");
    for (const cJSON *member = object->child; member; member = member->next)
        names[i++] = member->string;
    qsort(names, count, sizeof *names, compare_names);
    for (i = 1; i < count && r == 0; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            r = duplicate(names[i], why);
    free(names);
    return r;
}

static int check_members(const cJSON *object, struct why *why)
{
    size_t count = 0;

    for (const cJSON *member = object->child; member; member = member->next)
        count++;
    if (count > QUADRATIC_MAX)
        return check_many(object, count, why);
    for (const cJSON *a = object->child; a; a = a->next)
        for (const cJSON *b = a->next; b; b = b->next)
            if (strcmp(a->string, b->string) == 0)
                return duplicate(a->string, why);
    return 0;
}

/* What the grammar cannot see.  Recursion is bounded by UMBEL_JSON_DEPTH_MAX. */
static int verify(const cJSON *value, struct why *why)
{
    int r = 0;

    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble))
        return why_set(why, -EBADMSG, "a number is out of range");
    if (cJSON_IsObject(value))
        r = check_members(value, why);
    for (const cJSON *child = value->child; child && r == 0; child = child->next)
        r = verify(child, why);
    return r;
}

static cJSON *build(const char *text, size_t size, bool loose, size_t repairs, int *ret_error)
{
    const char *end = NULL;
    char *copy = NULL;
    cJSON *value;

    *ret_error = -ENOMEM;
    if (repairs > 0) {
        copy = malloc(size);
        if (!copy)
            return NULL;
        size = json_repair(text, size, loose, copy);
        text = copy;
    }
    value = cJSON_ParseWithLengthOpts(text, size, &end, 0);
    /* The grammar is known to be good, so a refusal means that memory was short; what follows the value may be blanks only. */
    for (; value && end < text + size; end++)
        if (*end != ' ' && *end != '\n' && *end != '\r' && *end != '\t') {
            cJSON_Delete(value);
            value = NULL;
            *ret_error = -EBADMSG;
        }
    free(copy);
    return value;
}

int json_read(const char *text, size_t size, bool loose, struct umbel_json **ret_value, struct why *why)
{
    size_t repairs = 0;
    cJSON *value;
    int r = json_check(text, size, loose, &repairs, why);

    if (r < 0)
        return r;
    value = build(text, size, loose, repairs, &r);
    if (!value)
        return why_set(why, r, r == -ENOMEM ? "out of memory" : "the JSON library stopped before the end");
    if (!loose && (r = verify(value, why)) < 0) {
        cJSON_Delete(value);
        return r;
    }
    *ret_value = (struct umbel_json *)(void *)value;
    return 0;
}

struct umbel_json *umbel_json_parse(const char *text, size_t size, char *why, size_t why_size)
{
    struct umbel_json *value = NULL;
    struct why reason = {""};

    if (json_read(text, size, false, &value, &reason) == 0)
        return value;
    if (why_size > 0) {
        size_t length = strlen(reason.text);
        if (length >= why_size)
            length = why_size - 1;
        memcpy(why, reason.text, length);
        why[length] = '\0';
    }
    return NULL;
}

void umbel_json_free(struct umbel_json *value)
{
    cJSON_Delete((cJSON *)(void *)value);
}

int umbel_json_type(const struct umbel_json *value)
{
    switch (value ? node(value)->type & 0xff : cJSON_Invalid) {
    case cJSON_NULL:
        return UMBEL_JSON_NULL;
    case cJSON_False:
    case cJSON_True:
        return UMBEL_JSON_BOOL;
    case cJSON_Number:
        return UMBEL_JSON_NUMBER;
    case cJSON_String:
        return UMBEL_JSON_STRING;
    case cJSON_Array:
        return UMBEL_JSON_ARRAY;
    case cJSON_Object:
        return UMBEL_JSON_OBJECT;
    default:
        return UMBEL_JSON_NONE;
    }
}

const struct umbel_json *umbel_json_member(const struct umbel_json *object, const char *name)
{
    if (umbel_json_type(object) != UMBEL_JSON_OBJECT)
        return NULL;
    for (const cJSON *member = node(object)->child; member; member = member->next)
        if (strcmp(member->string, name) == 0)
            return handle(member);
    return NULL;
}

const struct umbel_json *umbel_json_first(const struct umbel_json *array_or_object)
{
    int type = umbel_json_type(array_or_object);

    return type == UMBEL_JSON_ARRAY || type == UMBEL_JSON_OBJECT ? handle(node(array_or_object)->child) : NULL;
}

const struct umbel_json *umbel_json_next(const struct umbel_json *value)
{
    return value ? handle(node(value)->next) : NULL;
}

size_t umbel_json_count(const struct umbel_json *array_or_object)
{
    size_t count = 0;

    for (const struct umbel_json *child = umbel_json_first(array_or_object); child; child = umbel_json_next(child))
        count++;
    return count;
}

const char *umbel_json_name(const struct umbel_json *member)
{
    return member ? node(member)->string : NULL;
}

const char *umbel_json_text(const struct umbel_json *string, size_t *ret_size)
{
    if (umbel_json_type(string) != UMBEL_JSON_STRING)
        return NULL;
    if (ret_size)
        *ret_size = strlen(node(string)->valuestring); /* no U+0000 inside: checked or replaced */
    return node(string)->valuestring;
}

int umbel_json_bool(const struct umbel_json *value, int otherwise)
{
    return umbel_json_type(value) == UMBEL_JSON_BOOL ? cJSON_IsTrue(node(value)) : otherwise;
}

double umbel_json_number(const struct umbel_json *value, double otherwise)
{
    return umbel_json_type(value) == UMBEL_JSON_NUMBER ? node(value)->valuedouble : otherwise;
}

int64_t umbel_json_integer(const struct umbel_json *value, int64_t otherwise)
{
    double number = umbel_json_number(value, NAN);

    if (!(number >= -WHOLE_MAX && number <= WHOLE_MAX) || (double)(int64_t)number < number || (double)(int64_t)number > number)
        return otherwise;
    return (int64_t)number;
}

const char *umbel_json_member_text(const struct umbel_json *object, const char *name, const char *otherwise)
{
    const char *text = umbel_json_text(umbel_json_member(object, name), NULL);

    return text ? text : otherwise;
}

int64_t umbel_json_member_integer(const struct umbel_json *object, const char *name, int64_t otherwise)
{
    return umbel_json_integer(umbel_json_member(object, name), otherwise);
}
