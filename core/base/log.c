#include "core/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
    char name[64];
    _Atomic enum log_level level; /* changed while other threads write lines */
    atomic_bool json;
    atomic_bool journal; /* standard error is the journal's: it is told each line's level */
    _Atomic int socket;  /* to the journal, or -1 */
} log_state = {"umbel", LOG_INFO, false, false, -1};

static const char *const level_text[] = {"", "error", "warn", "info", "debug"};
static const char *const priority_mark[] = {"", "<3>", "<4>", "<6>", "<7>"}; /* of sd-daemon(3) */

/* JOURNAL_STREAM names the device and inode of the stream that the journal reads; whoever redirects standard error leaves it behind. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat about;
    char own[64];

    if (!stream || fstat(STDERR_FILENO, &about) == -1)
        return false;
    snprintf(own, sizeof own, "%llu:%llu", (unsigned long long)about.st_dev, (unsigned long long)about.st_ino);
    return strcmp(own, stream) == 0;
}

void log_setup(const char *name, enum log_level level, bool json)
{
    log_state.journal = stderr_is_journal();
    snprintf(log_state.name, sizeof log_state.name, "%s", name);
    log_change(level, json);
}

bool log_journal_connect(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = -1, old = log_state.socket;

    if (log_state.journal && strlen(path) < sizeof to.sun_path)
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(to.sun_path, path, fd == -1 ? 0 : strlen(path) + 1);
    if (fd != -1 && connect(fd, (const struct sockaddr *)&to, sizeof to) == -1) {
        close(fd);
        fd = -1;
    }
    log_state.socket = fd;
    if (old != -1)
        close(old);
    return fd != -1;
}

void log_change(enum log_level level, bool json)
{
    log_state.level = level;
    log_state.json = json;
}

enum log_level log_level(void)
{
    return log_state.level;
}

bool log_is_json(void)
{
    return log_state.json;
}

enum log_level log_level_parse(const char *text)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
        if (strcmp(text, level_text[i]) == 0)
            return (enum log_level)i;
    return 0;
}

const char *log_level_text(enum log_level level)
{
    return level_text[level];
}

/* Appends text with quotes, backslashes and control characters escaped; bytes above 0x7f pass, cut at a code point by the reader. */
static size_t append_escaped(char *line, size_t at, size_t room, const char *text)
{
    static const char hex[] = "0123456789abcdef";

    for (; *text && at + 7 < room; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '\n' || c == '\r' || c == '\t' || (log_state.json && (c == '"' || c == '\\'))) {
            line[at++] = '\\';
            line[at++] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(line + at, "\\u00", 4);
            line[at + 4] = hex[c >> 4];
            line[at + 5] = hex[c & 15];
            at += 6;
        } else {
            line[at++] = (char)c;
        }
    }
    return at;
}

/* As a datagram of fields; false: it was not taken. */
static bool send_fields(enum log_level level, const char *stream, const char *text)
{
    char fields[LOG_LINE_MAX];
    const char *space = strchr(log_state.name, ' ');
    int first = space ? (int)(space - log_state.name) : (int)strlen(log_state.name), socket = log_state.socket;

    if (socket == -1 || log_state.json)
        return false;
    int n = snprintf(fields, sizeof fields, "PRIORITY=%c\nSYSLOG_IDENTIFIER=%.*s\n%s%s%s%s%s%sMESSAGE=", priority_mark[level][1], first, log_state.name,
                     space ? "UMBEL_WORKER=" : "", space ? space + 1 : "", space ? "\n" : "", stream ? "UMBEL_STREAM=" : "", stream ? stream : "",
                     stream ? "\n" : "");
    size_t at = append_escaped(fields, (size_t)n, sizeof fields - 1, text);
    fields[at++] = '\n';
    return send(socket, fields, at, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)at;
}

void log_line(enum log_level level, const char *stream, const char *format, ...)
{
    char text[LOG_LINE_MAX - 512], line[LOG_LINE_MAX], when[40];
    struct timespec now;
    struct tm utc;
    va_list args;
    size_t at;
    int n;

    if (level > log_state.level)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (send_fields(level, stream, text))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    at = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(when + at, sizeof when - at, ".%03dZ", (int)(now.tv_nsec / 1000000));
    const char *mark = log_state.journal ? priority_mark[level] : "";
    if (log_state.json)
        n = snprintf(line, sizeof line, "%s{\"time\":\"%s\",\"level\":\"%s\",\"from\":\"%s\",%s%s%s\"text\":\"", mark, when, level_text[level],
                     log_state.name, stream ? "\"stream\":\"" : "", stream ? stream : "", stream ? "\"," : "");
    else
        n = snprintf(line, sizeof line, "%s%s %-5s %s: %s%s", mark, when, level_text[level], log_state.name, stream ? stream : "",
                     stream ? " " : "");
    at = append_escaped(line, (size_t)n, sizeof line - 4, text);
    if (log_state.json) {
        line[at++] = '"';
        line[at++] = '}';
    }
    line[at++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, at);
    (void)written; /* nowhere left to complain to */
}
