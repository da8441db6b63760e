/* umbelctl from outside: the program is run against a small daemon made of the real lock, pages and admin server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <umbel/json.h>

#include "core/admin/admin_lock.h"
#include "core/admin/admin_server.h"
#include "core/base/clock.h"
#include "core/metrics/core_stats.h"
#include "core/metrics/host_stats.h"
#include "core/metrics/stats_layout.h"

static char program[PATH_MAX], folder[64], out[262144], err[65536];
static pid_t daemon_pid;

/* --- the daemon --- */

static void on_cancel(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    (void)owner;
    if (strcmp(admin_argument(arguments, 0), "chatcmpl-one") == 0)
        admin_finish(request, "\"stream\":\"chatcmpl-one\"");
    else
        admin_fail(request, "no stream has that id", "umbelctl stream list shows them");
}

static void send_text(struct admin_request *request, const char *text)
{
    struct umbel_out line = {0};

    umbel_out_text(&line, "{\"event\":\"text\",\"text\":");
    umbel_out_json(&line, text, strlen(text));
    umbel_out_text(&line, "}");
    admin_send(request, line.data, line.size);
    umbel_out_free(&line);
}

/* Says what it was asked, so that the test sees every word and option arrive. */
static void on_chat(void *owner, struct admin_request *request, const struct umbel_json *arguments)
{
    static const char open[] = "{\"event\":\"open\",\"stream\":\"chatcmpl-new\"}";
    const char *app = admin_option_value(arguments, "app"), *question = admin_argument(arguments, 0);

    (void)owner;
    if (app && strcmp(app, "nowhere") == 0) {
        admin_fail(request, "no app is called nowhere", "the apps are: shop");
        return;
    }
    admin_send(request, open, sizeof open - 1);
    send_text(request, "you asked: ");
    send_text(request, question);
    if (strcmp(question, "break") == 0)
        admin_finish(request, "\"stream\":\"chatcmpl-new\",\"verdict\":\"truncated\",\"error\":\"the service hung up\"");
    else
        admin_finish(request, "\"stream\":\"chatcmpl-new\",\"verdict\":\"complete\",\"error\":\"\",\"tokens\":7");
}

static void fill_core(struct stats_page *page)
{
    uint32_t row = stats_row_take(page, CORE_TABLE_STREAMS);

    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_ID, "chatcmpl-one");
    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_APP, "shop");
    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_SESSION, "\xe4\xbd\xa0\xe5\xa5\xbd\033[31m");
    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_STATE, "streaming");
    stats_row_u64(page, CORE_TABLE_STREAMS, row, STREAM_COL_OPENED_NS, clock_now_ns() - 90 * CLOCK_S);
    stats_row_u64(page, CORE_TABLE_STREAMS, row, STREAM_COL_DELTAS, 12);
    row = stats_row_take(page, CORE_TABLE_STREAMS);
    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_ID, "chatcmpl-two");
    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_APP, "desk");
    stats_row_text(page, CORE_TABLE_STREAMS, row, STREAM_COL_STATE, "failed");
    row = stats_row_take(page, CORE_TABLE_HOSTS);
    stats_row_text(page, CORE_TABLE_HOSTS, row, HOST_COL_NAME, "bmob.0");
    stats_row_text(page, CORE_TABLE_HOSTS, row, HOST_COL_STATE, "running");
    stats_row_u64(page, CORE_TABLE_HOSTS, row, HOST_COL_PID, (uint64_t)getpid());
    stats_row_u64(page, CORE_TABLE_HOSTS, row, HOST_COL_CURSOR, 995);
    row = stats_row_take(page, CORE_TABLE_HOSTS);
    stats_row_text(page, CORE_TABLE_HOSTS, row, HOST_COL_NAME, "wxapp.0");
    stats_row_text(page, CORE_TABLE_HOSTS, row, HOST_COL_STATE, "backoff");
    row = stats_row_take(page, CORE_TABLE_UPSTREAMS);
    stats_row_text(page, CORE_TABLE_UPSTREAMS, row, UPSTREAM_COL_NAME, "deep");
    stats_set(page, CORE_RING_HEAD, 1000);
    stats_set(page, CORE_STREAMS_LIVE, 1);
}

static void fill_host(struct stats_page *page, const char *peer)
{
    uint32_t row = stats_row_take(page, HOST_TABLE_CLIENTS);

    stats_row_text(page, HOST_TABLE_CLIENTS, row, CLIENT_COL_PEER, peer);
    stats_row_text(page, HOST_TABLE_CLIENTS, row, CLIENT_COL_APP, "shop");
    stats_set(page, HOST_CLIENTS, 1);
    stats_observe(page, HOST_H_LAG, 2000000);
}

static void run_daemon(int ready)
{
    struct stats_page *core, *live, *dead;
    struct admin_server *server;
    struct uring_loop *loop;
    char path[128];
    struct why why;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed assertion must not leave it behind */
    if (admin_lock(folder, &why) < 0)
        _exit(1);
    snprintf(path, sizeof path, "%s/stats/core", folder);
    if (core_stats_create(path, 64, 8, 8, &core, &why) < 0)
        _exit(2);
    snprintf(path, sizeof path, "%s/stats/host-bmob.0", folder);
    if (host_stats_create(path, "bmob.0", 64, &live, &why) < 0)
        _exit(3);
    snprintf(path, sizeof path, "%s/stats/host-wxapp.0", folder);
    if (host_stats_create(path, "wxapp.0", 64, &dead, &why) < 0)
        _exit(4);
    fill_core(core);
    fill_host(live, "192.0.2.1:1");
    fill_host(dead, "192.0.2.2:2"); /* the core says that this process has ended */
    if (uring_loop_create(NULL, &loop, &why) < 0 || admin_server_open(loop, folder, 0, &server, &why) < 0)
        _exit(5);
    admin_server_handle(server, "stream cancel", on_cancel, NULL);
    admin_server_handle(server, "chat", on_chat, NULL);
    if (write(ready, "x", 1) == 1)
        for (;;) {
            stats_beat(core, clock_now_ns());
            uring_loop_turn(loop, 100);
        }
    _exit(6);
}

static int start_daemon(void **state)
{
    int ready[2];
    char byte;

    (void)state;
    strcpy(folder, "/tmp/umbel-ctl-XXXXXX");
    if (!mkdtemp(folder) || pipe(ready) == -1)
        return -1;
    daemon_pid = fork();
    if (daemon_pid == 0)
        run_daemon(ready[1]);
    close(ready[1]);
    int r = read(ready[0], &byte, 1) == 1 ? 0 : -1;
    close(ready[0]);
    return r;
}

static int stop_daemon(void **state)
{
    static const char *const files[] = {"admin.sock", "umbeld.lock", "stats/core", "stats/host-bmob.0", "stats/host-wxapp.0", "stats/host-bad"};
    char path[128];

    (void)state;
    kill(daemon_pid, SIGKILL);
    waitpid(daemon_pid, NULL, 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/stats", folder);
    rmdir(path);
    return rmdir(folder);
}

/* --- running umbelctl --- */

static void read_file(int fd, char *text, size_t room)
{
    ssize_t n = pread(fd, text, room - 1, 0);

    assert_true(n >= 0 && (size_t)n < room - 1);
    text[n] = '\0';
    close(fd);
}

/* Runs umbelctl -s folder and the words given (up to a NULL), fills out and err, returns its exit code; a signal is a failed test.
 * stdout_fd: where its output goes instead, or -1. */
static int run_to(int stdout_fd, va_list words)
{
    int out_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), err_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), status;
    char option[] = "-s", *argv[16] = {program, option, folder};
    pid_t child;

    for (size_t i = 3; i < 15 && (argv[i] = va_arg(words, char *)); i++)
        ;
    assert_true(out_fd >= 0 && err_fd >= 0);
    child = fork();
    if (child == 0) {
        dup2(stdout_fd >= 0 ? stdout_fd : out_fd, STDOUT_FILENO);
        dup2(err_fd, STDERR_FILENO);
        signal(SIGPIPE, SIG_DFL);
        execv(program, argv);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    read_file(out_fd, out, sizeof out);
    read_file(err_fd, err, sizeof err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int run_into(int fd, ...)
{
    va_list words;
    int r;

    va_start(words, fd);
    r = run_to(fd, words);
    va_end(words);
    return r;
}

#define RUN(...) run_into(-1, __VA_ARGS__, (char *)NULL)

static struct umbel_json *parse_out(void)
{
    char why[200];
    struct umbel_json *json = umbel_json_parse(out, strlen(out), why, sizeof why);

    if (!json)
        fail_msg("%s: %s", why, out);
    return json;
}

static const struct umbel_json *item(const struct umbel_json *array, size_t index)
{
    const struct umbel_json *each = umbel_json_first(array);

    while (index-- > 0)
        each = umbel_json_next(each);
    return each;
}

/* Goal: each list shows its rows, as text and as one JSON document.  Method: the rows above.  Catches: a wrong column, terminal controls
 * let through, clients of a host that has ended, a filter that does not. */
static void test_lists(void **state)
{
    struct umbel_json *json;

    (void)state;
    assert_int_equal(RUN("stream", "list"), 0);
    assert_non_null(strstr(out, "chatcmpl-one"));
    assert_non_null(strstr(out, "\xe4\xbd\xa0\xe5\xa5\xbd?[31m")); /* no escape reaches the terminal */
    assert_null(strchr(out, '\033'));
    assert_non_null(strstr(out, "1m30s"));
    assert_int_equal(RUN("stream", "list", "--json"), 0);
    json = parse_out();
    assert_int_equal(umbel_json_count(json), 2);
    assert_string_equal(umbel_json_member_text(item(json, 0), "id", ""), "chatcmpl-two"); /* its age is not known: first */
    assert_int_equal(umbel_json_type(umbel_json_member(item(json, 0), "age")), UMBEL_JSON_NULL);
    assert_true(umbel_json_number(umbel_json_member(item(json, 1), "age"), 0) >= 90);
    assert_int_equal(umbel_json_member_integer(item(json, 1), "deltas", 0), 12);
    assert_int_equal(umbel_json_count(item(json, 1)), STREAM_COL_COUNT);
    umbel_json_free(json);
    assert_int_equal(RUN("stream", "list", "--state=failed", "--json"), 0);
    assert_non_null(strstr(out, "chatcmpl-two"));
    assert_null(strstr(out, "chatcmpl-one"));
    assert_int_equal(RUN("stream", "list", "--app", "nobody", "--json"), 0);
    assert_string_equal(out, "[]\n");
    assert_int_equal(RUN("client", "list"), 0);
    assert_non_null(strstr(out, "192.0.2.1:1"));
    assert_null(strstr(out, "192.0.2.2:2"));
    assert_int_equal(RUN("client", "list", "--host", "bmo", "--json"), 0);
    assert_string_equal(out, "[]\n"); /* "bmo" is no transport, though it begins like one */
    assert_int_equal(RUN("host", "list", "--json"), 0);
    json = parse_out();
    assert_int_equal(umbel_json_count(json), 2);
    assert_int_equal(umbel_json_member_integer(item(json, 0), "clients", 0), 1);
    assert_true(umbel_json_member_integer(item(json, 0), "lag_p99_ns", 0) >= 2000000);
    umbel_json_free(json);
    assert_int_equal(RUN("upstream", "list"), 0);
    assert_non_null(strstr(out, "deep"));
}

/* Goal: status, ring and counters say what the pages say.  Method: known values.  Catches: a document that is none, a host's distance
 * computed from the wrong ends. */
static void test_status_ring_counters(void **state)
{
    struct umbel_json *json;

    (void)state;
    assert_int_equal(RUN((char *)NULL), 0);
    assert_non_null(strstr(out, "running"));
    assert_non_null(strstr(out, "1 live"));
    assert_int_equal(RUN("status", "--json"), 0);
    json = parse_out();
    assert_int_equal(umbel_json_member_integer(json, "pid", 0), daemon_pid);
    assert_int_equal(umbel_json_bool(umbel_json_member(json, "stuck"), -1), 0);
    assert_int_equal(umbel_json_member_integer(umbel_json_member(json, "clients"), "connected", -1), 1);
    assert_int_equal(umbel_json_member_integer(umbel_json_member(json, "streams"), "live", -1), 1);
    umbel_json_free(json);
    assert_int_equal(RUN("ring", "show", "--json"), 0);
    json = parse_out();
    assert_int_equal(umbel_json_member_integer(umbel_json_member(json, "ring"), "head", -1), 1000);
    assert_int_equal(umbel_json_member_integer(item(umbel_json_member(json, "hosts"), 0), "behind", -1), 5);
    umbel_json_free(json);
    assert_int_equal(RUN("ring", "show"), 0);
    assert_non_null(strstr(out, "head at 1000"));
    assert_int_equal(RUN("counters", "streams_*", "--json"), 0);
    json = parse_out();
    assert_true(umbel_json_count(json) >= 8);
    assert_null(strstr(out, "answers_"));
    umbel_json_free(json);
    assert_int_equal(RUN("counters", "lag"), 0);
    assert_non_null(strstr(out, "bmob.0"));
    assert_int_equal(RUN("counters", "no_such_counter"), 1);
    assert_non_null(strstr(err, "umbelctl counters"));
}

/* Goal: commands reach the daemon, the answer is printed, exit codes are honest.  Method: good, refused, broken off.  Catches: an
 * unknown id with exit 0, options lost on the way, a truncated answer that looks whole. */
static void test_operate(void **state)
{
    struct umbel_json *json;

    (void)state;
    assert_int_equal(RUN("stream", "cancel", "chatcmpl-one"), 0);
    assert_int_equal(RUN("stream", "cancel", "chatcmpl-none"), 1);
    assert_non_null(strstr(err, "no stream has that id"));
    assert_non_null(strstr(err, "umbelctl stream list"));
    assert_int_equal(RUN("stream", "cancel", "chatcmpl-none", "--json"), 1);
    json = parse_out();
    assert_int_equal(umbel_json_bool(umbel_json_member(json, "ok"), -1), 0);
    umbel_json_free(json);
    assert_int_equal(RUN("chat", "--app", "shop", "--", "-why \"\xe4\xbd\xa0\"?"), 0);
    assert_string_equal(out, "you asked: -why \"\xe4\xbd\xa0\"?\n");
    assert_string_equal(err, "");
    assert_int_equal(RUN("chat", "hi", "--json"), 0);
    json = parse_out();
    assert_string_equal(umbel_json_member_text(json, "id", ""), "chatcmpl-new");
    assert_string_equal(umbel_json_member_text(json, "text", ""), "you asked: hi");
    assert_string_equal(umbel_json_member_text(json, "verdict", ""), "COMPLETE");
    assert_int_equal(umbel_json_member_integer(json, "tokens", 0), 7);
    assert_null(umbel_json_member(json, "error")); /* there was none */
    umbel_json_free(json);
    assert_int_equal(RUN("chat", "break"), 1);
    assert_string_equal(out, "you asked: break\n");
    assert_non_null(strstr(err, "TRUNCATED: the service hung up"));
    assert_int_equal(RUN("chat", "hi", "--app", "nowhere"), 1);
    assert_non_null(strstr(err, "the apps are: shop"));
    assert_int_equal(RUN("chat", "hi", "--app", "nowhere", "--json"), 1);
    json = parse_out();
    assert_string_equal(umbel_json_member_text(json, "verdict", ""), "FAILED");
    assert_string_equal(umbel_json_member_text(json, "error", ""), "no app is called nowhere");
    umbel_json_free(json);
}

/* Goal: wrong use is exit 2 and says what to write.  Method: a row each.  Catches: a word or an option swallowed in silence. */
static void test_usage(void **state)
{
    (void)state;
    assert_int_equal(RUN("strem", "list"), 2);
    assert_non_null(strstr(err, "did you mean: umbelctl stream list"));
    assert_int_equal(RUN("stream"), 2);
    assert_int_equal(RUN("status", "now"), 2);
    assert_int_equal(RUN("stream", "cancel"), 2);
    assert_non_null(strstr(err, "stream cancel ID"));
    assert_int_equal(RUN("stream", "cancel", "a", "b"), 2);
    assert_int_equal(RUN("stream", "list", "--sate", "x"), 2);
    assert_int_equal(RUN("stream", "list", "--app"), 2);
    assert_int_equal(RUN("stream", "list", "--app", "a", "--app", "b"), 2);
    assert_int_equal(RUN("stream", "list", "--state", "sleeping"), 2);
    assert_int_equal(RUN("chat", "two", "words"), 2);
    assert_int_equal(RUN("-s"), 2);
    assert_int_equal(RUN("help", "xyzzyplugh"), 2);
    assert_int_equal(RUN("help", "chat"), 0);
    assert_non_null(strstr(out, "--session NAME"));
    assert_int_equal(RUN("--help"), 0);
    assert_non_null(strstr(out, "stream cancel"));
    assert_int_equal(RUN("--version"), 0);
    assert_string_equal(out, "umbelctl " UMBEL_VERSION "\n");
}

/* Goal: a daemon stopped by a signal counts as running; lists work and say how old they are.  Method: SIGSTOP, its beat set back.
 * Catches: exit 3, waiting for the daemon (for ever, where an answer is needed), showing old numbers as fresh. */
static void test_stopped_daemon(void **state)
{
    uint64_t long_ago = clock_now_ns() - 60 * CLOCK_S;
    struct umbel_json *json;
    char path[128];
    int fd, status;

    (void)state;
    kill(daemon_pid, SIGSTOP);
    assert_int_equal(waitpid(daemon_pid, &status, WUNTRACED), daemon_pid);
    snprintf(path, sizeof path, "%s/stats/core", folder);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &long_ago, 8, offsetof(struct stats_header, beat_ns)), 8);
    close(fd);
    assert_int_equal(RUN("stream", "list"), 0);
    assert_non_null(strstr(out, "chatcmpl-one"));
    assert_non_null(strstr(err, "last sign of life 1m"));
    assert_int_equal(RUN("client", "list"), 0);
    assert_int_equal(RUN("status"), 0);
    assert_non_null(strstr(out, "stopped or stuck"));
    assert_int_equal(RUN("status", "--json"), 0);
    json = parse_out();
    assert_int_equal(umbel_json_bool(umbel_json_member(json, "stuck"), -1), 1);
    umbel_json_free(json);
    assert_int_equal(RUN("chat", "hi"), 1); /* the socket takes the question, nobody answers: given up, and said so */
    assert_non_null(strstr(err, "did not answer"));
}

/* Goal: no daemon is exit 3 with the way on, also when a killed one left its files.  Method: kill it; a folder that is not there.
 * Catches: dead numbers shown as alive. */
static void test_not_running(void **state)
{
    (void)state;
    kill(daemon_pid, SIGKILL);
    assert_int_equal(waitpid(daemon_pid, NULL, 0), daemon_pid);
    assert_int_equal(RUN("status"), 3);
    assert_non_null(strstr(err, "not running"));
    assert_string_equal(out, "");
    assert_int_equal(RUN("stream", "list", "--json"), 3);
    assert_int_equal(RUN("chat", "hi"), 3);
    assert_int_equal(RUN("stream", "cancel", "chatcmpl-one"), 3);
    assert_int_equal(RUN("-s", "/nonexistent/umbel", "status"), 3);
    assert_int_equal(RUN("help"), 0);
}

/* Goal: a reader that goes away is no accident; a full disk is.  Method: a pipe without a reader, /dev/full.  Catches: death by SIGPIPE,
 * output lost with exit 0. */
static void test_output_that_goes_nowhere(void **state)
{
    int ends[2], full = open("/dev/full", O_WRONLY | O_CLOEXEC);

    (void)state;
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(run_into(ends[1], "counters", (char *)NULL), 0);
    assert_string_equal(err, "");
    close(ends[1]);
    assert_int_equal(run_into(full, "counters", (char *)NULL), 1);
    assert_non_null(strstr(err, "writing the output"));
    close(full);
}

/* Goal: one bad page does not hide the good ones.  Method: a host page of rubbish.  Catches: giving up, JSON mixed with complaints. */
static void test_bad_host_page(void **state)
{
    struct umbel_json *json;
    char path[128];
    int fd;

    (void)state;
    snprintf(path, sizeof path, "%s/stats/host-bad", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "rubbish", 7), 7);
    close(fd);
    assert_int_equal(RUN("client", "list", "--json"), 0);
    assert_non_null(strstr(err, "host-bad"));
    json = parse_out();
    assert_int_equal(umbel_json_count(json), 1);
    umbel_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lists, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_status_ring_counters, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_operate, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_usage, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_stopped_daemon, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_not_running, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_output_that_goes_nowhere, start_daemon, stop_daemon),
        cmocka_unit_test_setup_teardown(test_bad_host_page, start_daemon, stop_daemon),
    };
    char self[PATH_MAX - 32];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n > 0) { /* BUILD/tests/test_umbelctl runs BUILD/bin/umbelctl */
        self[n] = '\0';
        for (int i = 0; i < 2; i++)
            *strrchr(self, '/') = '\0';
        snprintf(program, sizeof program, "%s/bin/umbelctl", self);
    }
    if (access(program, X_OK) != 0) {
        fprintf(stderr, "skipped: %s is not built\n", program);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
