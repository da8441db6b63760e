/* umbel/version.h - what this header set is.
 * ABI rule: a new member at the end of a struct or a new optional callback is MINOR + 1; anything else is MAJOR + 1.
 * History: 1.2 umbel_transport.retire, umbel_host.send and send_now, umbel/tcp.h, umbel/carrier.h, umbel_http_is_leaving,
 * umbel_out_question, umbel_error_word; 1.1 umbel_host.stats,
 * umbel/stats.h; 1.0 first. */
#ifndef UMBEL_VERSION_H
#define UMBEL_VERSION_H

#define UMBEL_VERSION "0.1.0"
#define UMBEL_ABI_MAJOR 1
#define UMBEL_ABI_MINOR 2

#if defined(__GNUC__)
#define UMBEL_EXPORT __attribute__((visibility("default")))
#else
#define UMBEL_EXPORT
#endif

#endif
