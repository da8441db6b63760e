#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "model_spec.h"

static const char usage[] =
    "usage: umbel-mock-llm [OPTION...]\n"
    "An OpenAI-compatible server that answers without a model: for tests, demos and benchmarks.\n\n"
    "  --listen ADDR:PORT   numeric address, [ADDR6]:PORT too; port 0 = any free one (default 127.0.0.1:18080);\n"
    "                       the first line printed is 'listening on ADDR:PORT'\n"
    "  --pace-ms MS         time from token to token, such as 30 or 0.5 (default 30)\n"
    "  --tokens N           tokens of an answer (default: the demo answer's own length, else 60)\n"
    "  --token-bytes N      size of a token; 0 = word-like (default 0)\n"
    "  --seed N             seed of random texts and cuts (default 1)\n"
    "  --benchmark          text=ascii and cut=coalesce for models that do not say otherwise\n"
    "  --require-key KEY    answer 401 to other keys\n"
    "  --log FILE|-         a JSON line at the start and the end of each request\n"
    "  --tls-cert FILE      PEM certificate chain; with --tls-key: speak TLS\n"
    "  --tls-key FILE       PEM private key\n"
    "  --help               this text\n\n"
    "  POST /v1/chat/completions, GET /v1/models      as OpenAI\n"
    "  POST /v1/messages                              as Anthropic\n"
    "  POST /api/chat                                 as Ollama\n"
    "  POST /v1beta/models/M:streamGenerateContent    as Gemini\n"
    "  POST /api/v1/services/aigc/text-generation/generation   as DashScope\n"
    "  GET  /mock/requests[?model=M]                  the last 1000 requests and counters\n"
    "  POST /mock/reset                               forget them, and the counts of times=N\n"
    "  GET  /mock/text?model=M&prompt=P               the text that this model answers to this prompt\n"
    "  POST /mock/text                                the same for a whole chat request\n\n"
    "The model name says how to answer: NAME[:OPTION[=VALUE]]..., for example demo-1,\n"
    "mock:tokens=200:pace=5:bytes=12:text=cjk:usage=always:cut=utf8:fault=reset@50.\n"
    "fault=NAME@VALUE is another way to write a [fault] option; an option without =VALUE means =1:\n\n";

static void help(void)
{
    struct bytes text = {0};

    model_spec_help(&text);
    printf("%s%s", usage, bytes_string(&text));
    bytes_free(&text);
}

/* The numbers are read by the model name's own parser, so that both mean the same. */
static int defaults_read(struct options *options, const char *option, const char *value)
{
    struct model_spec spec;
    struct bytes name = {0}, why = {0};
    int r = -1;

    model_spec_defaults(&spec, options->tokens, options->token_bytes, options->pace_us, options->seed);
    bytes_printf(&name, "m:%s=%s", option, value);
    if (strchr(value, ':') || !model_spec_parse(&spec, bytes_string(&name), &why)) {
        fprintf(stderr, "umbel-mock-llm: '%s' is no value for this option: %s\n", value,
                why.len ? bytes_string(&why) : "a number is expected");
        r = 2;
    }
    options->tokens = spec.tokens;
    options->token_bytes = spec.bytes;
    options->pace_us = spec.pace_us;
    options->seed = spec.seed;
    bytes_free(&name);
    bytes_free(&why);
    return r;
}

int options_read(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"listen", required_argument, NULL, 'l'},
        {"pace-ms", required_argument, NULL, 'p'},
        {"tokens", required_argument, NULL, 't'},
        {"token-bytes", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 's'},
        {"benchmark", no_argument, NULL, 'c'},
        {"require-key", required_argument, NULL, 'k'},
        {"log", required_argument, NULL, 'o'},
        {"tls-cert", required_argument, NULL, 'C'},
        {"tls-key", required_argument, NULL, 'K'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option, r = -1;

    *options = (struct options){.listen = "127.0.0.1:18080", .pace_us = 30000, .tokens = MODEL_UNSET, .seed = 1};
    while (r < 0 && (option = getopt_long(argc, argv, "h", longs, NULL)) >= 0) {
        switch (option) {
        case 'l':
            options->listen = optarg;
            break;
        case 'p':
            r = defaults_read(options, "pace", optarg);
            break;
        case 't':
            r = defaults_read(options, "tokens", optarg);
            break;
        case 'b':
            r = defaults_read(options, "bytes", optarg);
            break;
        case 's':
            r = defaults_read(options, "seed", optarg);
            break;
        case 'c':
            options->benchmark = true;
            break;
        case 'k':
            options->require_key = optarg;
            break;
        case 'o':
            options->log = optarg;
            break;
        case 'C':
            options->tls_cert = optarg;
            break;
        case 'K':
            options->tls_key = optarg;
            break;
        case 'h':
            help();
            return 0;
        default:
            r = 2;
            break;
        }
    }
    if (r < 0 && optind < argc) {
        fprintf(stderr, "umbel-mock-llm: unexpected argument '%s'\n", argv[optind]);
        r = 2;
    }
    if (r < 0 && !options->tls_cert != !options->tls_key) {
        fprintf(stderr, "umbel-mock-llm: --tls-cert and --tls-key belong together\n");
        r = 2;
    }
    if (r == 2)
        fprintf(stderr, "try 'umbel-mock-llm --help'\n");
    return r;
}
