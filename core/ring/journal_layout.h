/* ring/journal_layout.h - the journal in shared memory: for each live and lately finished stream its events in order, append-only.
 *
 *   +-------------------------+ 0
 *   | struct journal_header   |
 *   +-------------------------+ JOURNAL_HEADER_SIZE
 *   | struct journal_slot [0] |  one per stream: who it is, how far it is, how it ended
 *   | ...                     |
 *   +-------------------------+ pages_offset
 *   | struct journal_page [0] |  1 KiB each, chained; the bytes of a stream's log in order
 *   | ...                     |
 *   +-------------------------+
 * The log of a stream is a sequence of entries: 4 bytes little endian (kind << 24 | size), then size bytes; entries cross page ends
 * freely; only TEXT, REASONING and TOOL are entries.  How a stream ended (usage, finish, error, verdict) stands in its slot, so a
 * full arena can never keep an end from being told.
 * Publication: bytes are stored (relaxed words), then `committed` (release).  Below committed nothing changes until the stream is
 * evicted; then the slot says FREE, and its generation is changed (V1, release fence V2) before anything else, so a reader that copied
 * bytes of a page that has a new owner sees the change (acquire fence V3, V4) and throws its copy away. */
#ifndef JOURNAL_LAYOUT_H
#define JOURNAL_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_MAGIC 0x01006c6e726a6d75ull /* "umjrnl"; what else changes is told by the layout's number */
#define JOURNAL_LAYOUT 2u
#define JOURNAL_HEADER_SIZE 4096u
#define JOURNAL_PAGE_SIZE 1024u
#define JOURNAL_PAGE_WORDS (JOURNAL_PAGE_SIZE / 8u - 1u)
#define JOURNAL_PAGE_DATA (JOURNAL_PAGE_WORDS * 8u) /* 1016 bytes of log in a page */
#define JOURNAL_NO_PAGE UINT32_MAX
#define JOURNAL_ENTRY_HEAD 4u
#define JOURNAL_ENTRY_MAX 0xffffffu
#ifndef JOURNAL_LOG_MAX /* a test makes it small */
#define JOURNAL_LOG_MAX (1u << 30) /* bytes of one stream's log: over it the stream fails */
#endif
#define JOURNAL_SESSION_MAX 128u   /* with the zero */
#define JOURNAL_NAME_MAX 64u       /* app, model; with the zero */
#define JOURNAL_WORD_MAX 32u       /* finish reason; with the zero */
#define JOURNAL_ERROR_MAX 256u     /* error text; with the zero */

#define JOURNAL_FREE 0u
#define JOURNAL_LIVE 1u
#define JOURNAL_CLOSED 2u

struct journal_page {
    _Atomic uint64_t next;                     /* index of the following page, JOURNAL_NO_PAGE at the end */
    _Atomic uint64_t word[JOURNAL_PAGE_WORDS];
};
_Static_assert(sizeof(struct journal_page) == JOURNAL_PAGE_SIZE, "page size");

/* What is constant from open on; stored as relaxed words before the state becomes LIVE. */
struct journal_identity {
    uint8_t id[16];                    /* the stream's random id */
    uint64_t created_s;                /* UTC */
    uint64_t opened_ns;                /* CLOCK_MONOTONIC; 0: read back from the history */
    uint64_t asker;                    /* the number of the question on its host's channel; 0: nobody's there */
    char app[JOURNAL_NAME_MAX];
    char model[JOURNAL_NAME_MAX];
    char session[JOURNAL_SESSION_MAX];
};
_Static_assert(sizeof(struct journal_identity) % 8 == 0, "copied as words");

/* How it ended; stored as relaxed words before the state becomes CLOSED. */
struct journal_ending {
    uint32_t verdict;      /* UMBEL_VERDICT_* */
    uint32_t finish;       /* UMBEL_FINISH_*, 0 = none was said */
    uint32_t error;        /* UMBEL_ERROR_*, 0 = none */
    uint32_t usage_flags;  /* JOURNAL_USAGE_* */
    uint64_t prompt_tokens, completion_tokens;
    char finish_word[JOURNAL_WORD_MAX];
    char error_text[JOURNAL_ERROR_MAX];
};
_Static_assert(sizeof(struct journal_ending) % 8 == 0, "copied as words");
#define JOURNAL_USAGE_KNOWN 1u
#define JOURNAL_USAGE_ESTIMATED 2u

struct journal_slot {
    _Alignas(64) _Atomic uint64_t generation; /* low 32 bits as in ring records; changes when the slot is given to another stream */
    _Atomic uint64_t state;                   /* JOURNAL_FREE, LIVE, CLOSED (release: what it promises is stored) */
    _Atomic uint64_t committed;               /* bytes of log that may be read */
    _Atomic uint64_t text_size;               /* bytes of answer text in them; may lag committed by one append */
    _Atomic uint64_t first_page;              /* JOURNAL_NO_PAGE until there is one */
    _Alignas(64) _Atomic uint64_t identity[sizeof(struct journal_identity) / 8];
    _Alignas(64) _Atomic uint64_t ending[sizeof(struct journal_ending) / 8];
};

struct journal_header {
    _Atomic uint64_t magic; /* stored last (release) */
    uint32_t layout, slots, pages, page_size;
    uint64_t epoch, slots_offset, pages_offset;
};

/* Names one stream for as long as its slot is not reused.  Generation 0 never exists: a zeroed ref is "no stream". */
struct journal_ref {
    uint32_t slot, generation;
};

#endif
