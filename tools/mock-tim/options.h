/* options - the command line. */
#ifndef MOCK_TIM_OPTIONS_H
#define MOCK_TIM_OPTIONS_H

#include <stdint.h>

struct options { /* strings point into argv */
    const char *listen;  /* REST, ADDR:PORT */
    const char *control; /* ADDR:PORT */
    const char *webhook; /* where callbacks go; NULL = nowhere until POST /mock/webhook-url */
    const char *key, *token, *admin;
    uint64_t sdk_app_id;
    uint32_t rate;       /* calls in one second before 60007; 0 = any number */
    uint32_t latency_ms; /* before each reply */
    uint32_t silence_ms; /* after which a stream message is ended */
    uint32_t message_max; /* bytes of MsgBody */
    uint64_t seed;
};

/* options_read fills options.  Returns -1 to go on, or the exit code: 0 after --help, 2 after a usage message. */
int options_read(int argc, char **argv, struct options *options);

#endif
