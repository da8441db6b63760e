/* daemon/answer_bill.h - what one answer may use and has used: admission, the limits in its middle, and the record of its end.
 *
 *   bill_open (admitted or refused) -> bill_fit, bill_took for each piece -> bill_close (counts, usage row, access line)
 *
 * Until the service reports its usage, which most do at the end, tokens are estimated from the bytes (policy_tokens).
 * Owner: the core's loop thread. */
#ifndef DAEMON_ANSWER_BILL_H
#define DAEMON_ANSWER_BILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/why.h"

struct daemon;
struct answer;
struct answer_bill;
struct answer_question;

enum bill_stop { BILL_GOES_ON, BILL_LENGTH /* output_tokens */, BILL_QUOTA /* tokens_per_day */ };

/* bill_open - may this question be asked?  0 and the bill; or an UMBEL_ERROR_* with a line for the client in why:
 *   concurrent, requests_per_minute   RATE
 *   tokens_per_day                    QUOTA
 *   prompt_bytes                      BAD_REQUEST
 *   no room to count it               BUSY
 * A refused question has used nothing up. */
uint32_t bill_open(struct daemon *daemon, const struct answer_question *question, struct answer_bill **ret_bill, struct why *why);

/* bill_drop - the question was not asked after all; it counts as a request, but not as tokens.  NULL is fine. */
void bill_drop(struct daemon *daemon, struct answer_bill *bill);

uint32_t bill_output_tokens(const struct answer_bill *bill); /* at most, 0 = no limit */

/* bill_asked - the question is on its way: to which model, and how many bytes of messages, with what was remembered, and parameters. */
void bill_asked(struct answer_bill *bill, const struct daemon *daemon, const char *model, size_t bytes);

/* bill_fit - how many of these bytes (text, or with whole the fragment of a tool call, which cannot be cut) may go out; fewer than size:
 * *ret_stop says why, and that the answer must end behind them.  Cuts between characters. */
size_t bill_fit(struct answer_bill *bill, const struct daemon *daemon, const char *data, size_t size, bool whole, enum bill_stop *ret_stop);
void bill_took(struct answer_bill *bill, const struct daemon *daemon, size_t size); /* so many went out */

/* bill_readers - total readers now; transport: of those who have just been counted, or NULL. */
void bill_readers(struct answer_bill *bill, const char *transport, uint32_t total);

/* bill_close - the answer has ended with this verdict and UMBEL_ERROR_*: its place is free, tokens are settled, usage and access line are on
 * their way.  Frees the bill. */
void bill_close(struct answer *answer, uint32_t verdict, uint32_t error);

#endif
