/* core/base/log: lines for the journal carry their priority, lines for anybody else do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/log.h"

/* What the four levels write with standard error as a file, and JOURNAL_STREAM naming it or, moved by `other`, another one. */
static void write_lines(bool json, uint64_t other, char *ret_text, size_t room)
{
    FILE *file = tmpfile();
    int saved = dup(STDERR_FILENO);
    struct stat about;
    char stream[64];

    assert_non_null(file);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(fstat(STDERR_FILENO, &about), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)about.st_dev, (unsigned long long)(about.st_ino + other));
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup("test", LOG_DEBUG, json);
    log_error("e\n<0>forged");
    log_warn("w");
    log_info("i");
    log_debug("d");
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(file);
    ret_text[fread(ret_text, 1, room - 1, file)] = '\0';
    fclose(file);
    unsetenv("JOURNAL_STREAM");
}

/* Goal: the journal hears each line's level, and nobody can forge one from within a line.  Method: a file in the journal's place; then another
 * file than JOURNAL_STREAM names.  Catches: levels shifted by one, a mark in files of others, a line end that passes. */
static void test_priorities(void **state)
{
    char text[4096];

    (void)state;
    for (int json = 0; json < 2; json++) {
        const char *wanted[] = {"<3>", "<4>", "<6>", "<7>"}, *at = text;
        write_lines(json, 0, text, sizeof text);
        for (size_t i = 0; i < 4; i++) {
            assert_non_null(at);
            assert_memory_equal(at, wanted[i], 3);
            assert_true(at[3] == (json ? '{' : '2'));
            at = strchr(at, '\n');
            at = at ? at + 1 : NULL;
        }
        assert_int_equal(*at, '\0');
        write_lines(json, 1, text, sizeof text);
        assert_true(text[0] == (json ? '{' : '2'));
        assert_null(strstr(text, "\n<"));
    }
}

/* Goal: the journal gets fields it can be searched by, and no line can add one.  Method: a socket in the place of the journal's; then it is closed.
 * Catches: a stream without its field, a line end that begins a field, lines lost when the socket goes away. */
static void test_fields(void **state)
{
    char folder[] = "/tmp/umbel-journal-XXXXXX", text[4096] = "";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int journal = socket(AF_UNIX, SOCK_DGRAM, 0), saved = dup(STDERR_FILENO);
    FILE *file = tmpfile();
    struct stat about;
    char stream[64];

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(at.sun_path, sizeof at.sun_path, "%s/socket", folder);
    assert_int_equal(bind(journal, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(fstat(STDERR_FILENO, &about), 0);
    snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)about.st_dev, (unsigned long long)about.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_setup("umbel-host bmob.0", LOG_INFO, false);
    assert_true(log_journal_connect(at.sun_path));
    log_line(LOG_WARN, "chatcmpl-1", "cut\nUMBEL_STREAM=forged");
    ssize_t n = recv(journal, text, sizeof text - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    assert_string_equal(text, "PRIORITY=4\nSYSLOG_IDENTIFIER=umbel-host\nUMBEL_WORKER=bmob.0\nUMBEL_STREAM=chatcmpl-1\nMESSAGE=cut\\nUMBEL_STREAM=forged\n");
    close(journal);
    log_info("alone");
    assert_true(!log_journal_connect("/nowhere/socket"));
    unsetenv("JOURNAL_STREAM");
    log_setup("test", LOG_INFO, false);
    dup2(saved, STDERR_FILENO);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    assert_non_null(strstr(text, "<6>"));
    assert_non_null(strstr(text, "alone"));
    assert_null(strstr(text, "forged"));
    fclose(file);
    close(saved);
    unlink(at.sun_path);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_priorities), cmocka_unit_test(test_fields)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
