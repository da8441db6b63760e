/* options - the command line. */
#ifndef MOCK_LLM_OPTIONS_H
#define MOCK_LLM_OPTIONS_H
#include <stdbool.h>
#include <stdint.h>

struct options {                        /* strings point into argv */
    const char *listen;                 /* ADDR:PORT, numeric */
    const char *require_key;            /* NULL = any or none */
    const char *log;                    /* file name, "-" = standard output, NULL = no log */
    const char *tls_cert, *tls_key;     /* PEM files; both or neither */
    uint64_t pace_us;                   /* the defaults of the model options of the same names */
    bool benchmark;                     /* text=ascii and cut=coalesce are the defaults */
    uint64_t tokens, token_bytes, seed; /* tokens may be MODEL_UNSET */
};

/* options_read fills options.  Returns -1 to go on, or the exit code: 0 after --help, 2 after a usage message. */
int options_read(int argc, char **argv, struct options *options);
#endif
