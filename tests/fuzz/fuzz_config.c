/* The operator's file from any bytes: never a crash, never an unbalanced text accepted, and libconfuse must agree with the scan.
 * Input: a file; its transports find plugins "a" (a table with every type) and "b" (an empty one). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <umbel/out.h>

#include "core/config/config.h"
#include "core/config/config_bind.h"
#include "core/config/config_scan.h"
#include "core/config/config_shape.h"
#include "tests/fuzz/pieces.h"

static const char manifest_a[] =
    "{\"name\":\"a\",\"needs\":1,\"options\":[{\"name\":\"text\",\"type\":1,\"choices\":\"x|y\"},{\"name\":\"number\",\"type\":2,"
    "\"min\":-5,"
    "\"max\":5},{\"name\":\"flag\",\"type\":3},{\"name\":\"secret\",\"type\":4},{\"name\":\"list\",\"type\":5,\"default\":\"{ "
    "\\\"p\\\", q }\"},"
    "{\"name\":\"bot\",\"type\":6,\"section\":[{\"name\":\"app\",\"type\":1},{\"name\":\"list\",\"type\":5}]}]}";
static const char manifest_b[] = "{\"name\":\"b\",\"needs\":0,\"options\":[]}";

static int lookup(void *owner, const char *plugin, char **ret_path, char **ret_manifest, struct why *why)
{
    (void)owner;
    if (strcmp(plugin, "a") != 0 && strcmp(plugin, "b") != 0)
        return why_set(why, -ENOENT, "there are only a and b");
    *ret_manifest = strdup(plugin[0] == 'a' ? manifest_a : manifest_b);
    *ret_path = strdup("/x.so");
    return 0;
}

/* What the checks let through libconfuse must read, whatever the values are. */
static void bind_all(struct config_tree *tree)
{
    struct why why = {""};

    if (config_shape_root(tree, &why) < 0)
        return;
    for (size_t i = 0; i < tree->root.child_count; i++) {
        struct config_node *node = &tree->root.children[i];
        struct config_rules rules = config_rules_of(node->section ? node->name : "");
        if (node->section && config_shape(node, rules, &why) < 0)
            continue;
        REQUIRE(config_bind(node, rules, &why) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_tree tree = {0};
    struct config *config = NULL;
    struct why why = {""};
    char path[64];
    int fd, r;

    r = config_scan_text("fuzz", "/nonexistent", (const char *)data, size, &tree, &why);
    REQUIRE(r == 0 || (r == -EINVAL && strncmp(why.text, "fuzz:", 5) == 0));
    if (r == 0)
        bind_all(&tree);
    config_tree_clear(&tree);
    if (size > 4096 || memmem(data, size, "include", 7) || memmem(data, size, "file:", 5) || memmem(data, size, "tls_", 4))
        return 0; /* the file system stays out of it */

    fd = memfd_create("config", MFD_CLOEXEC);
    REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    r = config_load(path, lookup, NULL, NULL, &config, &why);
    REQUIRE(r == 0 || (r == -EINVAL && strncmp(why.text, path, strlen(path)) == 0));
    close(fd);
    if (r == 0) {
        struct umbel_out out = {0};
        for (size_t i = 0; i < config->transport_count; i++)
            config_section_json(&config->transports[i].options, &out);
        REQUIRE(out.failed == 0);
        umbel_out_free(&out);
        config_free(config);
    }
    return 0;
}
