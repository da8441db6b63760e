/* Fuzz: what a plugin says of itself (the core reads it), and the section that the core sends to a host (the host reads it).  Both: refused, or
 * within bounds; a section that was read is written as the same. */
#include <errno.h>

#include <umbel/json.h>

#include "core/config/config.h"
#include "core/config/config_manifest.h"
#include "tests/fuzz/pieces.h"

static void check_section(const char *text, size_t size)
{
    struct umbel_json *json = umbel_json_parse(text, size, NULL, 0), *back;
    struct config_section section, again;
    struct umbel_out first = {0}, second = {0};

    if (json && config_section_parse(json, &section) == 0) {
        config_section_json(&section, &first);
        REQUIRE(!first.failed);
        back = umbel_json_parse(first.data, first.size, NULL, 0);
        REQUIRE(back && config_section_parse(back, &again) == 0);
        config_section_json(&again, &second);
        REQUIRE(first.size == second.size && memcmp(first.data, second.data, first.size) == 0);
        config_section_find(&section, "text");
        config_section_free(&section);
        config_section_free(&again);
        umbel_json_free(back);
        umbel_out_free(&first);
        umbel_out_free(&second);
    }
    umbel_json_free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_manifest manifest;
    struct why why = {""};
    char *text = malloc(size + 1);
    int r;

    REQUIRE(text);
    memcpy(text, data, size);
    text[size] = '\0';
    r = config_manifest_parse("a", text, &manifest, &why);
    REQUIRE(r == 0 || (r == -EINVAL && why.text[0]));
    if (r == 0) {
        REQUIRE(manifest.common <= manifest.count && manifest.count - manifest.common <= CONFIG_MANIFEST_OPTIONS_MAX);
        for (size_t i = 0; i < manifest.count; i++)
            REQUIRE(manifest.rules[i].name && manifest.rules[i].name[0]);
        config_manifest_clear(&manifest);
    }
    free(text);
    check_section((const char *)data, size);
    return 0;
}
