#include "core/metrics/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/number.h"

#define COUNT_EVERY_S 30 /* a walk over 100,000 descriptors takes tens of milliseconds */

void process_stats_open(struct process_stats *process, uint32_t cpu_us, uint32_t rss_bytes, uint32_t count)
{
    *process = (struct process_stats){.cpu_us = cpu_us, .rss_bytes = rss_bytes, .count = count};
    process->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    process->fds = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void note_cpu(struct process_stats *process, struct stats_page *page)
{
    struct timespec used;

    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == -1)
        return;
    uint64_t us = (uint64_t)used.tv_sec * 1000000u + (uint64_t)used.tv_nsec / 1000u;
    stats_add(page, process->cpu_us, us - process->told_us);
    process->told_us = us;
}

/* The second number of statm: pages resident. */
static void note_rss(const struct process_stats *process, struct stats_page *page)
{
    char line[128];
    ssize_t n = process->statm > 0 ? pread(process->statm, line, sizeof line - 1, 0) : -1;
    uint64_t pages;

    if (n <= 0)
        return;
    line[n] = '\0';
    const char *begin = strchr(line, ' ');
    if (begin && number_parse_u64(begin + 1, strcspn(begin + 1, " "), &pages))
        stats_set(page, process->rss_bytes, pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static uint64_t count_one_by_one(int folder)
{
    int fd = dup(folder);
    DIR *entries = fd == -1 ? NULL : fdopendir(fd);
    uint64_t count = 0;

    if (!entries) {
        if (fd != -1)
            close(fd);
        return 0;
    }
    rewinddir(entries);
    for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        count += entry->d_name[0] != '.';
    closedir(entries);
    return count - 1; /* not this walk's own */
}

/* Since Linux 6.2 the folder's size is the number of its descriptors; before it is 0. */
static void note_fds(struct process_stats *process, struct stats_page *page, uint64_t now_ns)
{
    struct stat about;

    if (process->fds <= 0 || fstat(process->fds, &about) == -1)
        return;
    if (about.st_size > 0) {
        stats_set(page, process->count, (uint64_t)about.st_size);
    } else if (process->counted_ns == 0 || now_ns - process->counted_ns > COUNT_EVERY_S * CLOCK_S) {
        stats_set(page, process->count, count_one_by_one(process->fds));
        process->counted_ns = now_ns;
    }
}

void process_stats_note(struct process_stats *process, struct stats_page *page, uint64_t now_ns)
{
    note_cpu(process, page);
    note_rss(process, page);
    note_fds(process, page, now_ns);
}

void process_stats_close(struct process_stats *process)
{
    if (process->statm > 0)
        close(process->statm);
    if (process->fds > 0)
        close(process->fds);
    *process = (struct process_stats){0};
}
