#include "tests/race/race_remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/race/race_record.h"

/* One order to the writer.  stop 0: no stop. */
struct order {
    char verb; /* 'p' publish, 'c' go on, 'q' quit */
    uint8_t stop;
    uint16_t size;
    uint32_t step, amount;
};

struct stop {
    enum ring_step step;
    unsigned count; /* 0: not armed */
    void (*act)(void *arg);
    void *arg;
};

static _Thread_local struct stop stop;

static void at_step(enum ring_step step)
{
    if (stop.count > 0 && stop.step == step && --stop.count == 0)
        stop.act(stop.arg);
}

void (*ring_test_hook)(enum ring_step step) = at_step;

void race_stop_at(enum ring_step step, unsigned count, void (*act)(void *arg), void *arg)
{
    stop = (struct stop){step, count, act, arg};
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(2);
    }
}

static void send_order(struct race_remote *remote, struct order order)
{
    must(write(remote->command[1], &order, sizeof order) == sizeof order, "order");
}

static void await(struct race_remote *remote, char expected)
{
    char reply = 0;

    must(read(remote->reply[0], &reply, 1) == 1 && reply == expected, "reply");
}

static void say(struct race_remote *remote, char reply)
{
    must(write(remote->reply[1], &reply, 1) == 1, "say");
}

static void stand_still(void *arg)
{
    struct race_remote *remote = arg;
    struct order order;

    say(remote, 's');
    must(read(remote->command[0], &order, sizeof order) == sizeof order && order.verb == 'c', "go on");
}

static void *serve(void *arg)
{
    struct race_remote *remote = arg;
    struct ring_record record;
    struct order order;

    for (;;) {
        must(read(remote->command[0], &order, sizeof order) == sizeof order, "next order");
        if (order.verb == 'q')
            return NULL;
        if (order.stop)
            race_stop_at((enum ring_step)order.step, order.stop, stand_still, remote);
        for (uint32_t i = 0; i < order.amount; i++) {
            race_fill(remote->n++, order.size, &record);
            ring_publish(&remote->writer, &record);
        }
        say(remote, 'd');
    }
}

void race_remote_start(struct race_remote *remote, uint32_t slots, bool process)
{
    struct why why;

    *remote = (struct race_remote){.process = process};
    must(ring_writer_create(slots, 1, &remote->writer, &why) == 0, "ring");
    must(pipe(remote->command) == 0 && pipe(remote->reply) == 0, "pipe");
    remote->view = remote->writer.memory;
    if (!process) {
        must(pthread_create(&remote->thread, NULL, serve, remote) == 0, "thread");
        return;
    }
    must(ring_memory_map(remote->writer.memory.fd, 1, 0, &remote->view, &why) == 0, "map");
    remote->pid = fork();
    must(remote->pid != -1, "fork");
    if (remote->pid == 0) {
        serve(remote);
        _exit(0);
    }
}

void race_remote_end(struct race_remote *remote)
{
    int status;

    send_order(remote, (struct order){.verb = 'q'});
    if (remote->process) {
        must(waitpid(remote->pid, &status, 0) == remote->pid && status == 0, "writer process");
        ring_memory_free(&remote->view);
    } else {
        must(pthread_join(remote->thread, NULL) == 0, "writer thread");
    }
    for (int i = 0; i < 2; i++) {
        close(remote->command[i]);
        close(remote->reply[i]);
    }
    ring_writer_free(&remote->writer);
}

void race_remote_publish(struct race_remote *remote, unsigned amount, uint16_t size)
{
    send_order(remote, (struct order){.verb = 'p', .amount = amount, .size = size});
    await(remote, 'd');
}

void race_remote_begin(struct race_remote *remote, uint16_t size, enum ring_step step, unsigned count)
{
    send_order(remote, (struct order){.verb = 'p', .amount = 1, .size = size, .stop = (uint8_t)count, .step = step});
    await(remote, 's');
}

void race_remote_finish(struct race_remote *remote)
{
    send_order(remote, (struct order){.verb = 'c'});
    await(remote, 'd');
}
