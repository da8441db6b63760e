/* Unit: include/umbel/carrier.h: the functions and the table that UMBEL_WS_TRANSPORT_WITH makes, over a carrier that only notes its calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <umbel/ws.h>

struct umbel_ws {
    void *self; /* of the codec */
};

struct mine {
    const struct umbel_host *host;
    int owned, zeroed;
};

static struct umbel_ws carrier;
static char calls[256]; /* what was called, in order */
static int setup_result, open_result;
static struct mine *seen;

static void note(const char *what)
{
    strncat(calls, what, sizeof calls - strlen(calls) - 1);
    strncat(calls, " ", sizeof calls - strlen(calls) - 1);
}

static void expect(const char *what)
{
    assert_string_equal(calls, what);
    calls[0] = '\0';
}

int umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec, void *self, struct umbel_ws **ret_ws)
{
    note("open");
    assert_ptr_equal(host, &carrier); /* stands for one */
    assert_ptr_equal(config, &calls); /* stands for one */
    assert_int_equal(codec->max_message, 77);
    if (open_result < 0)
        return open_result;
    carrier.self = self;
    *ret_ws = &carrier;
    return 0;
}

void umbel_ws_drain(struct umbel_ws *ws, uint32_t deadline_ms)
{
    note(ws == &carrier && deadline_ms == 5 ? "drain" : "wrong");
}

void umbel_ws_retire(struct umbel_ws *ws, uint32_t step, uint32_t ms)
{
    note(ws == &carrier && step == UMBEL_RETIRE_LEAVE && ms == 9 ? "retire" : "wrong");
}

int umbel_ws_reload(struct umbel_ws *ws)
{
    note(ws == &carrier ? "reload" : "wrong");
    return -ENOENT;
}

void umbel_ws_close(struct umbel_ws *ws)
{
    note(ws ? "close" : "close-none");
}

static int setup(struct mine *mine, const struct umbel_host *host, const struct umbel_config *config)
{
    (void)config;
    note("setup");
    mine->zeroed = mine->host == NULL && mine->owned == 0;
    mine->host = host;
    mine->owned = 1;
    seen = mine;
    return setup_result;
}

static void cleanup(struct mine *mine)
{
    note(mine == seen && mine->owned == 1 && mine->zeroed ? "cleanup" : "wrong");
}

static const struct umbel_option options[] = {{.type = UMBEL_OPTION_BOOL, .name = "a"}, {.type = UMBEL_OPTION_BOOL, .name = "b"}};
static const struct umbel_ws_codec codec = {.struct_size = sizeof codec, .max_message = 77};

UMBEL_WS_TRANSPORT_WITH(struct mine, codec, setup, cleanup, .name = "noted", .version = "2", .summary = "s", UMBEL_OPTIONS(options),
                        .needs = UMBEL_NEEDS_ALONE);

static int open_it(void **ret_self)
{
    return umbel_transport.open((const void *)&carrier, (const void *)&calls, ret_self);
}

/* Goal: the table is one that the host takes, with what the author gave.  Method: its members.  Catches: a count or a stride of options that
 * does not fit, a size of another struct, a member that the macro sets over the author's. */
static void table_says_what_it_was_given(void **state)
{
    (void)state;
    assert_int_equal(umbel_transport.struct_size, sizeof(struct umbel_transport));
    assert_int_equal(umbel_transport.abi_major, UMBEL_ABI_MAJOR);
    assert_int_equal(umbel_transport.abi_minor, UMBEL_ABI_MINOR);
    assert_string_equal(umbel_transport.name, "noted");
    assert_string_equal(umbel_transport.version, "2");
    assert_ptr_equal(umbel_transport.options, options);
    assert_int_equal(umbel_transport.option_count, 2);
    assert_int_equal(umbel_transport.option_size, sizeof(struct umbel_option));
    assert_int_equal(umbel_transport.needs, UMBEL_NEEDS_ALONE);
    assert_int_equal(umbel_transport.reserved, 0);
    assert_null(umbel_transport.command);
}

/* Goal: the codec's struct is self everywhere, made before the carrier and freed after it.  Method: a whole life.  Catches: a cleanup while
 * the carrier still calls back, self that is the struct around it, a step that goes to no carrier. */
static void life_is_in_order(void **state)
{
    void *self = NULL;

    (void)state;
    setup_result = open_result = 0;
    assert_int_equal(open_it(&self), 0);
    expect("setup open ");
    assert_ptr_equal(self, seen);
    assert_ptr_equal(carrier.self, seen);
    assert_ptr_equal(seen->host, &carrier);
    assert_int_equal(umbel_transport.reload(self), -ENOENT);
    umbel_transport.retire(self, UMBEL_RETIRE_LEAVE, 9);
    umbel_transport.drain(self, 5);
    umbel_transport.close(self);
    expect("reload retire drain close cleanup ");
    umbel_transport.close(NULL);
    expect("");
}

/* Goal: an open that fails leaves nothing and tells why.  Method: setup fails, then the carrier.  Catches: memory that stays (under a
 * sanitizer), a carrier that is opened although setup said no, self written on failure. */
static void failure_undoes_what_was_done(void **state)
{
    void *self = &carrier;

    (void)state;
    setup_result = -EBADF;
    assert_int_equal(open_it(&self), -EBADF);
    expect("setup close-none cleanup ");
    setup_result = 0;
    open_result = -EADDRINUSE;
    assert_int_equal(open_it(&self), -EADDRINUSE);
    expect("setup open close-none cleanup ");
    assert_ptr_equal(self, &carrier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_says_what_it_was_given), cmocka_unit_test(life_is_in_order),
                                       cmocka_unit_test(failure_undoes_what_was_done)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
