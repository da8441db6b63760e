/* stream - sends one answer over a connection: when the next event is due, where its bytes are cut, which fault comes.
 * Owner: its connection, on the loop thread.  A stream holds no answer text ahead of what is being written: at most
 * one event (or one batch) waits for a full socket. */
#ifndef MOCK_LLM_STREAM_H
#define MOCK_LLM_STREAM_H
#include <stdbool.h>

struct chat_request;
struct conn;
struct model_spec;
struct record;
struct stream;

/* stream_open starts answering request on conn as spec says and takes over the caller's hold on record.  The request
 * may be freed when it returns.  Returns false, with nothing started, if a whole (unstreamed) answer would be longer
 * than HTTP_BODY_MAX; the caller then answers and keeps the record. */
bool stream_open(struct conn *conn, struct record *record, const struct chat_request *request, const struct model_spec *spec);
/* stream_resume goes on after the socket took everything. */
void stream_resume(struct stream *stream);
/* stream_free ends the record with end if it has not ended yet, unlinks the stream from its connection and frees it. */
void stream_free(struct stream *stream, const char *end);
#endif
