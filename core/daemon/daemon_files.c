#include "core/daemon/daemon_files.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/fd.h"
#include "core/base/log.h"

static void send_file(struct daemon_host *h, const char *path)
{
    struct control_out out = {0};
    char *data;
    size_t size;
    int r = fd_read_file(path, DAEMON_FILE_MAX, &data, &size);

    if (r < 0) {
        log_error("transport %s: cannot read %s: %s", h->config->name, path, strerror(-r));
        return;
    }
    control_begin(&out, CONTROL_FILE, 0);
    control_put_text(&out, path, strlen(path));
    control_put_text(&out, data, size);
    if (control_end(&out))
        host_send(&h->host, &out);
    if (out.data)
        explicit_bzero(out.data, out.size);
    control_out_free(&out);
    explicit_bzero(data, size); /* it may be a key */
    free(data);
}

static void send_section(struct daemon_host *h, const struct config_section *section)
{
    for (size_t i = 0; i < section->value_count; i++) {
        const struct config_value *value = &section->values[i];
        if (value->file)
            send_file(h, value->text);
        for (size_t k = 0; k < value->section_count; k++)
            send_section(h, &value->sections[k]);
    }
}

static bool section_has_file(const struct config_section *section)
{
    for (size_t i = 0; i < section->value_count; i++) {
        const struct config_value *value = &section->values[i];
        if (value->file)
            return true;
        for (size_t k = 0; k < value->section_count; k++)
            if (section_has_file(&value->sections[k]))
                return true;
    }
    return false;
}

bool daemon_files_any(const struct config_transport *config)
{
    return *config->tls_cert || *config->tls_key || section_has_file(&config->options);
}

void daemon_files_send(struct daemon_host *h)
{
    const struct config_transport *config = h->config;

    if (*config->tls_cert)
        send_file(h, config->tls_cert);
    if (*config->tls_key)
        send_file(h, config->tls_key);
    send_section(h, &config->options);
}
