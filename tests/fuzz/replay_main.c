/* Runs a fuzz target over the files of a folder: how the saved corpus is an ordinary test.  Arguments: files or folders. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/base/fd.h"
#include "tests/fuzz/pieces.h"

#define INPUT_MAX ((size_t)64 << 20)

static int run_file(const char *path)
{
    char *data = NULL;
    size_t size = 0;

    if (fd_read_file(path, INPUT_MAX, &data, &size) < 0) {
        fprintf(stderr, "cannot read %s\n", path);
        return -1;
    }
    fprintf(stderr, "%s\n", path); /* the last line names the file that failed */
    uint8_t *exact = malloc(size ? size : 1); /* without the zero behind: a read past the end is seen */
    REQUIRE(exact != NULL);
    memcpy(exact, data, size);
    free(data);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 1;
}

static int run_folder(const char *path)
{
    struct dirent *entry;
    char file[4096];
    int count = 0;
    DIR *folder = opendir(path);

    if (!folder)
        return -1;
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.')
            continue;
        if ((size_t)snprintf(file, sizeof file, "%s/%s", path, entry->d_name) >= sizeof file || run_file(file) < 0) {
            count = -1;
            break;
        }
        count++;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;

    for (int i = 1; i < argc; i++) {
        struct stat info;
        int count = stat(argv[i], &info) == -1 ? -1 : S_ISDIR(info.st_mode) ? run_folder(argv[i]) : run_file(argv[i]);
        if (count < 0) {
            fprintf(stderr, "%s: cannot be run\n", argv[i]);
            return 1;
        }
        total += count;
    }
    fprintf(stderr, "%d inputs\n", total);
    return total > 0 ? 0 : 1; /* an empty corpus would pass for nothing */
}
