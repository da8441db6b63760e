/* model_spec - the behaviour that a request asks for in its model name: BASE[:OPTION[=VALUE]]...
 * One table row per option (model_spec.c) makes the parser, the error messages and the --help text.
 * Pure: no I/O, no clock, no globals. */
#ifndef MOCK_LLM_MODEL_SPEC_H
#define MOCK_LLM_MODEL_SPEC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes;

#define MODEL_NAME_MAX 512u    /* bytes of a model name */
#define MODEL_UNSET UINT64_MAX /* a number that the name does not give */
/* A number option may take words as well: word i of its list is stored as MODEL_WORD(i). */
#define MODEL_WORD(i) (UINT64_MAX - 1u - (i))
#define MODEL_STALL_FIRST MODEL_WORD(0u)
#define MODEL_STALL_HEAD MODEL_WORD(1u)
#define MODEL_STATUS_200JSON MODEL_WORD(0u)

/* The order of each enum is the order of its words in model_spec.c. */
enum model_text { TEXT_DEMO, TEXT_ECHO, TEXT_ASCII, TEXT_CJK, TEXT_EMOJI, TEXT_COUNT, TEXT_MIXED, TEXT_MESSAGES, TEXT_REQUEST, TEXT_EMPTY };
enum model_cut { CUT_EVENT, CUT_COALESCE, CUT_ANY, CUT_UTF8, CUT_BYTE };
enum model_http { HTTP_CHUNKED, HTTP_CLOSE };
enum model_chunks { CHUNKS_EVENT, CHUNKS_ANY };
enum model_eol { EOL_LF, EOL_CRLF, EOL_CR };
enum model_usage { USAGE_ASK, USAGE_ALWAYS, USAGE_FINISH, USAGE_CHOICE, USAGE_NO };
enum model_role { ROLE_FIRST, ROLE_EACH, ROLE_NONE };
enum model_headers { HEADERS_NORMAL, HEADERS_ENDLESS };

/* Every number is 64 bits wide, so that one table can fill them all. */
struct model_spec {
    uint64_t tokens;                    /* tokens of text; MODEL_UNSET = what the text has */
    uint64_t bytes;                     /* size of a token; 0 = natural, word-like         */
    uint64_t pace_us, first_us, gap_us; /* gap_us may be MODEL_UNSET: the cut decides      */
    uint64_t seed;
    uint64_t text, cut, http, chunks, eol; /* enums above; eol may be MODEL_UNSET: the dialect's own */
    uint64_t usage, role, headers;
    uint64_t comments, reasoning;                   /* 0 = none */
    uint64_t space, done, bom, tool, nulls, go_on;  /* 0 or 1 */
    uint64_t overlap;                               /* bytes */
    uint64_t choices_empty, eof_noeol, array;       /* 0 or 1 */
    char finish[32];                                /* "" = the natural reason, "no" = no finish chunk */
    uint64_t status, stall, reset, close, endchunk; /* faults: MODEL_UNSET = off */
    uint64_t malformed, errorat, longline, slowhead_us;
    uint64_t html, gzip, errordone; /* 0 or 1 */
    uint64_t retryafter;            /* seconds */
    uint64_t times;                 /* the faults hit only the first so many requests */
    bool text_given, tokens_given;
};

/* model_spec_defaults fills spec with what an option-less name means under these server-wide defaults. */
void model_spec_defaults(struct model_spec *spec, uint64_t tokens, uint64_t token_bytes, uint64_t pace_us, uint64_t seed);
/* model_spec_parse reads the NUL-terminated model name into spec, which holds the defaults before the call.
 * Returns true, or false with a sentence for the client in why (emptied first): spec is then half changed. */
bool model_spec_parse(struct model_spec *spec, const char *model, struct bytes *why);
/* model_spec_calm switches every fault off. */
void model_spec_calm(struct model_spec *spec);
/* model_spec_help appends one line per option to out. */
void model_spec_help(struct bytes *out);
#endif
