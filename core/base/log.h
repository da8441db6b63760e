/* base/log.h - log lines to standard error, one line an event, text or JSON.
 * Any thread; a line is one write(2), so lines of several processes on one descriptor do not mix.  Text is cut at LOG_LINE_MAX and
 * control characters are escaped, so nothing a stranger sends can forge a line.  Secrets never go in. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#define LOG_LINE_MAX 2048

enum log_level { LOG_ERROR = 1, LOG_WARN = 2, LOG_INFO = 3, LOG_DEBUG = 4 };

/* Where standard error is the journal's (JOURNAL_STREAM) each line begins with its priority, "<4>", which the journal takes off. */
/* log_setup - who speaks ("umbeld", "umbel-host bmob.0"), from which level on, and whether as JSON.  name is copied. */
void log_setup(const char *name, enum log_level level, bool json);
/* log_journal_connect - from now on lines in text form go to the journal's own socket (LOG_JOURNAL_SOCKET) as fields, if standard error is the
 * journal's: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER (the first word of the name), UMBEL_WORKER (the second, if any), UMBEL_STREAM.  Before the process
 * confines itself.  What the socket does not take, or if there is none, is written to standard error as before.  True: connected. */
#define LOG_JOURNAL_SOCKET "/run/systemd/journal/socket"
bool log_journal_connect(const char *path);
/* log_change - level and form from now on; the name stays. */
void log_change(enum log_level level, bool json);
enum log_level log_level(void);
bool log_is_json(void);

/* log_level_parse - "error", "warn", "info", "debug".  Returns the level, or 0. */
enum log_level log_level_parse(const char *text);
const char *log_level_text(enum log_level level);

/* log_line - one event.  stream: the stream's id, or NULL. */
void log_line(enum log_level level, const char *stream, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, NULL, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, NULL, __VA_ARGS__)

#endif
