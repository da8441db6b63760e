#include <umbel/json.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_number(const struct umbel_json *value, struct umbel_out *out)
{
    double number = umbel_json_number(value, 0.0);
    int64_t whole = umbel_json_integer(value, INT64_MIN); /* INT64_MIN is beyond 2^53, so it can only mean "not whole" */
    char text[40];

    if (whole != INT64_MIN) {
        umbel_out_printf(out, "%lld", (long long)whole);
        return;
    }
    if (!isfinite(number)) { /* only the loose reader lets one in; JSON has no word for it */
        umbel_out_text(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) { /* the fewest digits that read back as the same number */
        double back;

        snprintf(text, sizeof text, "%.*g", digits, number);
        back = strtod(text, NULL);
        if (back >= number && back <= number)
            break;
    }
    for (char *c = text; *c; c++)
        if (*c == ',') /* a locale's decimal point */
            *c = '.';
    umbel_out_text(out, text);
}

static void print_text(const char *text, struct umbel_out *out)
{
    umbel_out_json(out, text, strlen(text));
}

/* Recursion is bounded by UMBEL_JSON_DEPTH_MAX: only parsed values exist. */
static void print_container(const struct umbel_json *value, struct umbel_out *out, const char *brackets)
{
    const struct umbel_json *child = umbel_json_first(value);

    umbel_out_put(out, brackets, 1);
    while (child) {
        if (brackets[0] == '{') {
            print_text(umbel_json_name(child), out);
            umbel_out_put(out, ":", 1);
        }
        umbel_json_print(child, out);
        child = umbel_json_next(child);
        if (child)
            umbel_out_put(out, ",", 1);
    }
    umbel_out_put(out, brackets + 1, 1);
}

void umbel_json_print(const struct umbel_json *value, struct umbel_out *out)
{
    switch (umbel_json_type(value)) {
    case UMBEL_JSON_BOOL:
        umbel_out_text(out, umbel_json_bool(value, 0) ? "true" : "false");
        break;
    case UMBEL_JSON_NUMBER:
        print_number(value, out);
        break;
    case UMBEL_JSON_STRING:
        print_text(umbel_json_text(value, NULL), out);
        break;
    case UMBEL_JSON_ARRAY:
        print_container(value, out, "[]");
        break;
    case UMBEL_JSON_OBJECT:
        print_container(value, out, "{}");
        break;
    default:
        umbel_out_text(out, "null");
    }
}
