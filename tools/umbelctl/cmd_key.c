/* key mint: a client key nobody can guess, and how it comes into the configuration. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <umbel/out.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/number.h"
#include "tools/umbelctl/ctl.h"
#include "tools/umbelctl/print.h"

#define BYTES_MIN 16u
#define BYTES_MAX 64u
#define BYTES_DEFAULT 24u
#define PREFIX_MAX 32u
#define KEY_MAX (PREFIX_MAX + 2 * BYTES_MAX)

/* Letters and digits only: a key stands in addresses, headers and shells. */
static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* Letters that hold at least so many bytes of chance: log2(62) is 5.954.  Of each random byte those below 248 = 4 * 62 are taken, so that no
 * letter is likelier than another. */
static int mint(size_t bytes, char *ret_text)
{
    size_t wanted = (bytes * 8000 + 5953) / 5954, have = 0;
    unsigned char random[64];

    while (have < wanted) {
        if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
            return -errno;
        for (size_t i = 0; i < sizeof random && have < wanted; i++)
            if (random[i] < 248)
                ret_text[have++] = letters[random[i] % 62];
    }
    ret_text[have] = '\0';
    explicit_bzero(random, sizeof random);
    return 0;
}

static bool good_prefix(const char *prefix)
{
    size_t size = strlen(prefix);

    for (size_t i = 0; i < size; i++)
        if (!strchr(letters, prefix[i]) && prefix[i] != '-' && prefix[i] != '_')
            return false;
    return size <= PREFIX_MAX;
}

/* A file of its own; one that is there stays as it is. */
static int write_file(const char *path, const char *key)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), r = 0;
    size_t size = strlen(key);

    if (fd == -1 && errno == EEXIST)
        return ctl_complain(CTL_FAILED, "name another file, or remove that one if no client has its key", "%s is there already", path);
    if (fd == -1)
        return ctl_complain(CTL_FAILED, NULL, "cannot make %s: %s", path, strerror(errno));
    if (dprintf(fd, "%s\n", key) != (int)size + 1 || fsync(fd) == -1)
        r = ctl_complain(CTL_FAILED, NULL, "cannot write %s: %s", path, strerror(errno));
    fd_close(&fd);
    if (r)
        unlink(path);
    return r;
}

static int tell(const struct ctl *ctl, const char *key, const char *file)
{
    struct umbel_out out = {0};
    char full[PATH_MAX] = "/etc/umbel/NAME.key";

    if (file && !realpath(file, full))
        snprintf(full, sizeof full, "%s", file);
    if (ctl->json) {
        umbel_out_text(&out, "{\"key\":");
        umbel_out_json(&out, key, strlen(key));
        umbel_out_text(&out, ",\"file\":");
        if (file)
            umbel_out_json(&out, full, strlen(full));
        else
            umbel_out_text(&out, "null");
        umbel_out_text(&out, "}");
        return print_document(&out);
    }
    if (file)
        printf("The key is in %s (mode 0600).  umbeld must be able to read it: chown umbel %s\n", full, full);
    else
        printf("%s\n\nPut it into a file that only umbeld reads (umbelctl key mint --write FILE does), and name that:\n", key);
    printf("\n    app NAME {\n        keys = { \"file:%s\" }\n    }\n\nThen: umbelctl reload\n", full);
    return CTL_OK;
}

int ctl_key_mint(const struct ctl *ctl)
{
    const char *bytes_text = ctl_option(ctl, "bytes"), *prefix = ctl_option(ctl, "prefix"), *file = ctl_option(ctl, "write");
    uint64_t bytes = BYTES_DEFAULT;
    char key[KEY_MAX + 1];
    int r;

    if (bytes_text && (!number_parse_u64(bytes_text, strlen(bytes_text), &bytes) || bytes < BYTES_MIN || bytes > BYTES_MAX))
        return ctl_complain(CTL_USAGE, "24 are plenty", "--bytes is a number from %u to %u", BYTES_MIN, BYTES_MAX);
    if (prefix && !good_prefix(prefix))
        return ctl_complain(CTL_USAGE, "--prefix shop-", "--prefix is at most %u letters, digits, - and _", PREFIX_MAX);
    size_t size = (size_t)snprintf(key, sizeof key, "%s", prefix ? prefix : "");
    r = mint((size_t)bytes, key + size);
    if (r < 0)
        return ctl_complain(CTL_FAILED, NULL, "the kernel gives no random bytes: %s", strerror(-r));
    r = file ? write_file(file, key) : CTL_OK;
    if (r == CTL_OK)
        r = tell(ctl, key, file);
    explicit_bzero(key, sizeof key);
    return r;
}
