#include "core/parse/delta_form.h"

#include <stdint.h>

#include "core/parse/delta_scanner.h"
#include "core/parse/json_scan.h"

void delta_form_learn(struct delta_form *form, struct span payload, struct span value, enum parse_kind kind)
{
    uintptr_t before = (uintptr_t)value.data - (uintptr_t)payload.data; /* of a decoded value: anything beyond payload */
    size_t after;

    umbel_out_reset(&form->around);
    if (before == 0 || before >= payload.size || payload.size - value.size > DELTA_FORM_MAX)
        return;
    after = payload.size - before - value.size;
    umbel_out_put(&form->around, payload.data, before);
    umbel_out_put(&form->around, value.data + value.size, after);
    if (form->around.failed)
        umbel_out_reset(&form->around);
    form->before = before;
    form->kind = kind;
}

static bool take_line_end(struct scan *in)
{
    return scan_word(in, "\n\n", 2) || scan_word(in, "\r\n\r\n", 4);
}

size_t delta_form_take(const struct delta_form *form, const char *bytes, size_t size, struct umbel_out *scratch, struct span *ret_text)
{
    struct scan in = {.p = bytes, .end = bytes + size};
    const char *around = form->around.data, *begin;
    struct scan_raw raw;

    if (form->around.size == 0 || !scan_word(&in, "data:", 5))
        return 0;
    scan_word(&in, " ", 1); /* one blank after the colon belongs to the field */
    begin = in.p;
    if (!scan_word(&in, around, form->before))
        return 0;
    in.p--; /* the quote */
    if (!scan_string(&in, &raw))
        return 0;
    in.p--; /* the closing one is the first of what stands behind */
    if (!scan_word(&in, around + form->before, form->around.size - form->before) || in.p - begin > (ptrdiff_t)DELTA_SCAN_MAX ||
        !take_line_end(&in))
        return 0;
    if (raw.escaped) {
        umbel_out_reset(scratch);
        in.unescaped = umbel_out_reserve(scratch, raw.text.size); /* an escape is never shorter than what it stands for */
        if (!in.unescaped)
            return 0;
    }
    *ret_text = scan_unescape(&in, raw);
    return (size_t)(in.p - bytes);
}

void delta_form_free(struct delta_form *form)
{
    umbel_out_free(&form->around);
}
