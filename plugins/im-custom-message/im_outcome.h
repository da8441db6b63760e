/* im-custom-message/im_outcome.h - what the outcome of a call does to an answer; shared by im_answer.c and im_outcome.c only. */
#ifndef IM_OUTCOME_H
#define IM_OUTCOME_H

#include "im_answer.h"

void im_outcome_new_message(struct im_answer *answer); /* forgets the message at hand: its text goes into a new one */
void im_outcome_end_part(struct im_answer *answer, size_t to, bool more); /* the part is finished at to; more: another follows */
void im_outcome_give_up(struct im_answer *answer);

#endif
