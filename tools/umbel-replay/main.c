#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/fd.h"
#include "core/base/number.h"
#include "tools/umbel-replay/replay.h"

struct printing {
    const struct replay_options *options;
    struct umbel_out out;
    uint64_t count;
    bool failed;
};

static void flush(struct printing *printing)
{
    if (printing->out.failed || fwrite(printing->out.data ? printing->out.data : "", 1, printing->out.size, stdout) != printing->out.size)
        printing->failed = true;
    umbel_out_reset(&printing->out);
}

static void print_answer(void *owner, const struct replay_answer *answer)
{
    struct printing *printing = owner;

    if (printing->options->json && printing->count++)
        umbel_out_text(&printing->out, ",");
    report_answer(answer, printing->options, printing->options->only != 0, &printing->out);
    flush(printing);
}

/* The whole file as memory; it stays mapped to the end of the program. */
static int map_file(const char *path, struct span *ret_file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
    struct stat about;

    if (fd == -1)
        return -errno;
    if (fstat(fd, &about) == -1)
        r = -errno;
    else if (!S_ISREG(about.st_mode))
        r = -EINVAL;
    else if (about.st_size == 0)
        *ret_file = span_of("", 0);
    else {
        void *data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            r = -errno;
        else
            *ret_file = span_of(data, (size_t)about.st_size);
    }
    fd_close(&fd);
    return r;
}

static int complain(const char *file, const char *text)
{
    fprintf(stderr, "umbel-replay: %s: %s\n", file, text);
    return 1;
}

static int use(FILE *to, int code)
{
    fprintf(to, "usage: umbel-replay [--cut as-captured|every-byte] [--answer N] [--json] FILE\n"
                "  runs what `umbelctl capture` recorded through the parsers again, and compares.\n"
                "  exit: 0 as it was recorded, 1 something differs or cannot be read, 2 wrong use\n");
    return code;
}

static int run(const char *path, const struct replay_options *options)
{
    struct printing printing = {.options = options};
    struct replay_sums sums;
    struct why why = {""};
    struct span file;
    int r = map_file(path, &file);

    if (r < 0)
        return complain(path, strerror(-r));
    if (options->json)
        umbel_out_text(&printing.out, "{\"answers\":[");
    r = replay_file(file, options, print_answer, &printing, &sums, &why);
    if (r < 0) {
        umbel_out_free(&printing.out);
        return complain(path, why.text);
    }
    report_sums(&sums, options, &printing.out);
    flush(&printing);
    umbel_out_free(&printing.out);
    if (fflush(stdout) != 0 || printing.failed)
        return complain(path, "its result cannot be written");
    return sums.count[REPLAY_DIFFERENT] > 0 || (*sums.damage && !sums.cut);
}

int main(int argc, char **argv)
{
    static const struct option known[] = {
        {"cut", required_argument, NULL, 'c'}, {"answer", required_argument, NULL, 'a'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},      {NULL, 0, NULL, 0},
    };
    struct replay_options options = {0};
    int each;

    while ((each = getopt_long(argc, argv, "h", known, NULL)) != -1)
        if (each == 'h')
            return use(stdout, 0);
        else if (each == 'j')
            options.json = true;
        else if (each == 'c' && (strcmp(optarg, "every-byte") == 0 || strcmp(optarg, "as-captured") == 0))
            options.every_byte = strcmp(optarg, "every-byte") == 0;
        else if (each != 'a' || !number_parse_u64(optarg, strlen(optarg), &options.only) || options.only == 0)
            return use(stderr, 2);
    return argc - optind == 1 ? run(argv[optind], &options) : use(stderr, 2);
}
