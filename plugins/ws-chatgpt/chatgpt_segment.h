/* ws-chatgpt/chatgpt_segment.h - sentence mode: where the original project cuts an answer into short sentences.
 *
 * The text waits in a buffer that each delta makes longer; after each delta the whole buffer is either sent or kept on.  It is sent when,
 * without its outer white space, it has more than one character, ends in a stop or a quote (a quote only behind a stop), and all
 * quotes in it are closed.  Pure: no frames, no clock. */
#ifndef CHATGPT_SEGMENT_H
#define CHATGPT_SEGMENT_H

#include <stddef.h>

/* chatgpt_segment_ends - 1 if the buffer is to be sent now.  text: UTF-8. */
int chatgpt_segment_ends(const char *text, size_t size);

#endif
