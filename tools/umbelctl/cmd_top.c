/* top: the daemon at work, live.  Reads stats pages only, so it works while the daemon is stopped; what its keys do goes over the admin
 * socket. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tools/umbelctl/call.h"
#include "tools/umbelctl/print.h"
#include "tools/umbelctl/sample.h"
#include "tools/umbelctl/top_data.h"
#include "tools/umbelctl/top_screen.h"

#define LOOKS 2u /* hosts tell their clients' numbers once a second: one look alone would now and then see nothing new */
#define TURN_MS 200 /* so long a signal may wait for an answer at most */

struct top {
    const struct ctl *ctl;
    struct top_state state;
    uint64_t interval_ns, looked_ns;
    struct pages pages;
    struct top_data data, older[LOOKS]; /* earlier looks at the same view, the oldest last: rates are since then */
    size_t olders;
    struct sample sample, sample_before;
    struct sample_rates rates;
    bool has_pages, has_data, has_before, over;
    bool moved;             /* since the last drawing */
    bool picked;            /* the cursor stays with its row wherever that goes, and not on its line */
    char chosen[160], chosen2[160]; /* the row at the cursor */
    char asked[160];        /* what the question is about, whatever moves meanwhile */
};

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    told_to_end = number;
}

static int read_word(const struct ctl *ctl, const char *option, const char *const *words, int count, int otherwise, int *ret_index)
{
    const char *text = ctl_option(ctl, option);

    *ret_index = otherwise;
    if (!text)
        return CTL_OK;
    for (int i = 0; i < count; i++)
        if (strcmp(words[i], text) == 0) {
            *ret_index = i;
            return CTL_OK;
        }
    return ctl_complain(CTL_USAGE, strcmp(option, "view") == 0 ? "one of streams, clients, hosts, upstreams" : "one of lag, rate, age, text",
                        "--%s %s: there is none of this name", option, text);
}

static int read_options(const struct ctl *ctl, struct top *top)
{
    const char *interval = ctl_option(ctl, "interval");
    int view, sort, r = read_word(ctl, "view", top_view_words, TOP_VIEWS, TOP_STREAMS, &view);
    double seconds = 1;
    char *end = NULL;

    if (r == CTL_OK)
        r = read_word(ctl, "sort", top_sort_words, TOP_SORTS, TOP_AGE, &sort);
    if (r != CTL_OK)
        return r;
    if (interval)
        seconds = strtod(interval, &end);
    if (interval && (end == interval || *end || !(seconds >= 0.2 && seconds <= 60)))
        return ctl_complain(CTL_USAGE, "write --interval 2", "--interval %s: seconds from 0.2 to 60 are needed", interval);
    top->interval_ns = (uint64_t)(seconds * 1e9);
    top->state.view = (enum top_view)view;
    top->state.sort = (enum top_sort)sort;
    return CTL_OK;
}

/* ---- looking ---- */

static void drop_data(struct top *top)
{
    if (top->has_data)
        top_data_free(&top->data);
    while (top->olders > 0)
        top_data_free(&top->older[--top->olders]);
    top->has_data = false;
}

/* The table anew from the pages at hand; a look at another view has no earlier ones. */
static void show(struct top *top)
{
    if (top->has_data && top->data.view != top->state.view)
        drop_data(top);
    if (top->has_data) {
        if (top->olders == LOOKS)
            top_data_free(&top->older[--top->olders]);
        memmove(&top->older[1], &top->older[0], top->olders * sizeof top->older[0]);
        top->older[0] = top->data;
        top->olders++;
    }
    top_data_load(&top->pages, top->state.view, top->olders ? &top->older[top->olders - 1] : NULL, &top->data);
    top->has_data = true;
}

static void look(struct top *top)
{
    struct pages pages;

    top->looked_ns = clock_now_ns();
    top->state.gone = !pages_look(top->ctl, &pages);
    if (top->state.gone) {
        pages_close(&pages);
        return;
    }
    if (top->has_pages)
        pages_close(&top->pages);
    top->pages = pages;
    sample_take(&top->pages, &top->sample);
    sample_compare(top->has_before ? &top->sample_before : NULL, &top->sample, &top->rates);
    if (!top->has_before || top->sample.at_ns > top->sample_before.at_ns) /* a stopped daemon: the last rates that were true stay */
        top->sample_before = top->sample;
    top->has_pages = top->has_before = true;
    show(top);
}

static void stay_with_row(struct top *top, const struct top_data *shown)
{
    for (size_t i = 0; top->picked && !top->moved && i < shown->rows.count; i++)
        if (strcmp(top_data_row(shown, i)[shown->name].text, top->chosen) == 0 &&
            strcmp(top_data_row(shown, i)[shown->name2].text, top->chosen2) == 0) {
            top->state.chosen = i;
            return;
        }
}

static void note_chosen(struct top *top, const struct top_data *shown)
{
    if (top->moved || top->state.details)
        top->picked = top->state.chosen > 0 || top->state.details; /* at the first line it stays there: the newest, the worst */
    top->moved = false;
    top->chosen[0] = top->chosen2[0] = '\0';
    if (!shown || top->state.chosen >= shown->rows.count)
        return;
    memcpy(top->chosen, top_data_row(shown, top->state.chosen)[shown->name].text, sizeof top->chosen);
    memcpy(top->chosen2, top_data_row(shown, top->state.chosen)[shown->name2].text, sizeof top->chosen2);
}

/* What is drawn: a sorted and filtered copy would lose the rows that the next look compares with, so the order is made on a copy. */
static void draw(struct top *top)
{
    struct top_data shown = top->data;
    size_t bytes = shown.rows.count * shown.rows.columns * sizeof *shown.rows.cell;

    top->state.pages = top->has_pages ? &top->pages : NULL;
    top->state.rates = &top->rates;
    top->state.data = NULL;
    if (top->has_data) {
        shown.rows.cell = malloc(bytes ? bytes : 1);
        if (!shown.rows.cell)
            shown.rows.count = 0;
        else if (bytes)
            memcpy(shown.rows.cell, top->data.rows.cell, bytes);
        top_data_filter(&shown, top->state.filter);
        top_data_sort(&shown, top->state.sort, top->state.backwards);
        stay_with_row(top, &shown);
        top->state.data = &shown;
    }
    top_screen_draw(&top->state);
    note_chosen(top, top->has_data ? &shown : NULL);
    if (top->has_data)
        free(shown.rows.cell);
    top->state.data = NULL;
}

/* ---- acting ---- */

/* What a call says on standard error must not go over the screen: its first line becomes the message. */
static void act(struct top *top, enum admin_id command, char *word, const char *done)
{
    struct ctl ctl = {.runtime_dir = top->ctl->runtime_dir, .command = &admin_commands[command], .words = &word, .word_count = 1};
    struct call call = {0};
    int saved = dup(STDERR_FILENO), into = memfd_create("umbelctl-top", MFD_CLOEXEC), r;
    ssize_t size = 0;

    if (into != -1)
        dup2(into, STDERR_FILENO);
    r = call_daemon(&ctl, &call);
    if (call.reply && r != CTL_OK)
        call_complain(call.reply);
    fflush(stderr);
    if (into != -1)
        size = pread(into, top->state.message, sizeof top->state.message - 1, 0);
    if (saved != -1)
        dup2(saved, STDERR_FILENO);
    close(saved);
    close(into);
    top->state.message[size > 0 ? size : 0] = '\0';
    top->state.message[strcspn(top->state.message, "\n")] = '\0';
    if (r == CTL_OK)
        snprintf(top->state.message, sizeof top->state.message, "%s: %s", word, done);
    umbel_json_free(call.reply);
}

static void ask(struct top *top)
{
    struct top_state *state = &top->state;

    if (!top->chosen[0])
        return;
    memcpy(top->asked, top->chosen, sizeof top->asked);
    if (state->view == TOP_STREAMS)
        snprintf(state->question, sizeof state->question, "y/n: cancel %.80s?  Its clients keep the text so far", top->asked);
    else if (state->view == TOP_HOSTS)
        snprintf(state->question, sizeof state->question, "y/n: restart host %.80s?  Its clients are drained first", top->asked);
    else
        snprintf(state->message, sizeof state->message, "x acts on streams and hosts");
}

static void answer_question(struct top *top, int key)
{
    char name[sizeof top->asked];

    top->state.question[0] = '\0';
    if (key != 'y' && key != 'Y')
        return;
    memcpy(name, top->asked, sizeof name);
    if (top->state.view == TOP_STREAMS)
        act(top, ADMIN_stream_cancel, name, "cancelled");
    else
        act(top, ADMIN_host_restart, name, "restarts");
}

/* ---- keys ---- */

static void choose_view(struct top *top, enum top_view view)
{
    if (view == top->state.view)
        return;
    top->state.view = view;
    top->state.chosen = top->state.first = 0;
    top->state.details = top->picked = false;
    if (top->has_pages)
        show(top);
    top->looked_ns = clock_now_ns();
}

static void move(struct top_state *state, long by)
{
    if (by < 0 && state->chosen < (size_t)-by)
        state->chosen = 0;
    else
        state->chosen += (size_t)by; /* the screen brings it back to the last row */
}

static void type(struct top_state *state, int key)
{
    size_t size = strlen(state->filter);

    if (key == TOP_KEY_ENTER || key == TOP_KEY_ESCAPE) {
        state->typing = false;
        if (key == TOP_KEY_ESCAPE)
            state->filter[0] = '\0';
    } else if (key == TOP_KEY_BACKSPACE && size > 0) {
        do
            size--;
        while (size > 0 && ((unsigned char)state->filter[size] & 0xc0) == 0x80);
        state->filter[size] = '\0';
    } else if (key >= 32 && key < 256 && size + 1 < sizeof state->filter) {
        state->filter[size] = (char)key;
        state->filter[size + 1] = '\0';
    }
}

static bool move_key(struct top *top, int key)
{
    struct top_state *state = &top->state;
    long page = (long)top_screen_page();

    switch (key) {
    case TOP_KEY_UP:
    case TOP_KEY_DOWN:
        move(state, key == TOP_KEY_UP ? -1 : 1);
        return true;
    case TOP_KEY_PAGE_UP:
    case TOP_KEY_PAGE_DOWN:
        move(state, key == TOP_KEY_PAGE_UP ? -page : page);
        return true;
    case TOP_KEY_HOME:
    case TOP_KEY_END:
        state->chosen = key == TOP_KEY_HOME ? 0 : top->data.rows.count;
        return true;
    default:
        return false;
    }
}

static void press(struct top *top, int key)
{
    static const char view_keys[] = "1234schu", sort_keys[] = "lrat";
    struct top_state *state = &top->state;
    const char *found;

    if (state->question[0]) {
        answer_question(top, key);
        return;
    }
    state->message[0] = '\0';
    if (state->typing) {
        type(state, key);
    } else if (move_key(top, key)) {
        top->moved = true;
    } else if (key > 0 && key < 128 && (found = strchr(view_keys, key))) {
        choose_view(top, (enum top_view)((found - view_keys) % (long)TOP_VIEWS));
    } else if (key > 0 && key < 128 && (found = strchr(sort_keys, key))) {
        state->sort = (enum top_sort)(found - sort_keys);
    } else if (key == '\t') {
        choose_view(top, (enum top_view)((state->view + 1) % TOP_VIEWS));
    } else if (key == 'R') {
        state->backwards = !state->backwards;
    } else if (key == '/') {
        state->typing = true;
        state->filter[0] = '\0';
    } else if (key == TOP_KEY_ENTER) {
        state->details = !state->details;
    } else if (key == TOP_KEY_ESCAPE) {
        state->details = state->help = false;
    } else if (key == 'x') {
        ask(top);
    } else if (key == 'p') {
        state->paused = !state->paused;
    } else if (key == '?') {
        state->help = !state->help;
    } else if (key == 'q') {
        top->over = true;
    }
}

static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: a waiting getch ends */

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
}

static int watch(struct top *top)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return ctl_complain(CTL_USAGE, "umbelctl top --once prints one look; with --json as a document", "top needs a terminal");
    catch_signals();
    if (!top_screen_open(top->ctl->colour))
        return ctl_complain(CTL_FAILED, "set TERM to what it is (xterm-256color), or use: umbelctl top --once", "this terminal is not known: TERM=%s",
                            getenv("TERM") ? getenv("TERM") : "");
    while (!top->over && !told_to_end) {
        int key;

        if (!top->state.paused && (!top->looked_ns || clock_now_ns() - top->looked_ns >= top->interval_ns))
            look(top);
        draw(top);
        key = top_screen_key(TURN_MS);
        if (key != TOP_KEY_NONE && key != TOP_KEY_RESIZE)
            press(top, key);
        if (key == TOP_KEY_NONE && errno == EIO)
            break; /* the terminal is gone */
    }
    top_screen_close();
    return CTL_OK;
}

/* ---- once ---- */

static int print_once_json(struct top *top)
{
    struct umbel_out out = {0};

    umbel_out_printf(&out, "{\"time\":%.3f,\"version\":", (double)clock_wall_ms() / 1000);
    umbel_out_json(&out, top->pages.who.version, strlen(top->pages.who.version));
    umbel_out_printf(&out, ",\"pid\":%u,\"stuck\":%s,\"silent_s\":", (unsigned)top->pages.who.pid, top->pages.stuck ? "true" : "false");
    rows_seconds_json(top->pages.silent_ns, &out);
    umbel_out_text(&out, ",\n\"totals\":{");
    sample_json(&top->rates, &out);
    umbel_out_printf(&out, "},\n\"view\":\"%s\",\"sort\":\"%s\",\n\"rows\":", top_view_words[top->state.view], top_sort_words[top->state.sort]);
    rows_json(&top->data.rows, &out);
    umbel_out_text(&out, "}");
    return print_document(&out);
}

static int print_once(struct top *top)
{
    struct umbel_out out = {0};
    int r = pages_open(top->ctl, true, &top->pages);

    if (r != CTL_OK)
        return r;
    top->has_pages = true;
    sample_take(&top->pages, &top->sample);
    sample_compare(NULL, &top->sample, &top->rates);
    show(top);
    top_data_sort(&top->data, top->state.sort, false);
    if (top->ctl->json)
        return print_once_json(top);
    top_head(&top->pages, &top->rates, false, 120, &out);
    umbel_out_text(&out, "\n");
    r = print_document(&out);
    rows_print(&top->data.rows, top->ctl->colour);
    return r;
}

int ctl_top(const struct ctl *ctl)
{
    static struct top top;
    int r;

    top.ctl = ctl;
    r = read_options(ctl, &top);
    if (r == CTL_OK)
        r = pages_running(ctl);
    if (r == CTL_OK)
        r = ctl_option(ctl, "once") || ctl->json ? print_once(&top) : watch(&top);
    drop_data(&top);
    if (top.has_pages)
        pages_close(&top.pages);
    return r;
}
