/* umbel/config.h - the options of a transport section: declared as data in the plugin's manifest, read in open().
 *
 * The core learns the table from a short-lived umbel-host, checks the operator's file against it (unknown option, wrong type, out of
 * range: an error with file and line), resolves secrets and hands the values on.  So a plugin gets every option it declared, always
 * with a checked value. */
#ifndef UMBEL_CONFIG_H
#define UMBEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* umbel_option.type */
#define UMBEL_OPTION_TEXT 1u    /* choices may list the allowed words, separated by | */
#define UMBEL_OPTION_INTEGER 2u /* min <= value <= max */
#define UMBEL_OPTION_BOOL 3u
#define UMBEL_OPTION_SECRET 4u  /* "env:NAME" or "file:PATH" in the file; the plugin reads the content */
#define UMBEL_OPTION_LIST 5u    /* { "a", "b" } */
#define UMBEL_OPTION_SECTION 6u /* NAME TITLE { ... }, any number; options in the section table */

/* umbel_option.flags */
#define UMBEL_OPTION_REQUIRED 1u /* no default: leaving it out is an error */

struct umbel_option {
    uint32_t type;              /* UMBEL_OPTION_* */
    uint32_t flags;             /* UMBEL_OPTION_REQUIRED */
    const char *name;           /* [a-z0-9_]+ */
    const char *otherwise;      /* the default, as it would stand in the file; NULL = "" / 0 / false / empty */
    const char *choices;        /* TEXT: "a|b|c", or NULL for any */
    int64_t min, max;           /* INTEGER; both 0 = any */
    const char *help;           /* one line: what it does, with its unit */
    const struct umbel_option *section; /* SECTION: its options */
    uint64_t section_count;
};

struct umbel_config; /* the values of one section, owned by the host; valid until close() returns */

#ifdef __cplusplus
}
#endif
#endif
