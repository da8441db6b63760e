#include <umbel/carrier.h>

#include <errno.h>
#include <stdlib.h>

int umbel_plugin_new(size_t size, void **ret_plugin)
{
    void *plugin = calloc(1, size);

    if (!plugin)
        return -ENOMEM;
    *ret_plugin = plugin;
    return 0;
}

void umbel_plugin_free(void *plugin)
{
    free(plugin);
}
