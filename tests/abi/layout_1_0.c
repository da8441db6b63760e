/* Made once by record.mjs of the headers of ABI 1.0: what every later 1.x must keep.  Never changed: if this does not compile, the
 * headers broke the ABI.  A struct that says its own size may grow at its end; the others may not.  docs/internals/abi.md. */
#include <umbel/config.h>
#include <umbel/event.h>
#include <umbel/host.h>
#include <umbel/http.h>
#include <umbel/json.h>
#include <umbel/out.h>
#include <umbel/rest.h>
#include <umbel/transport.h>
#include <umbel/version.h>
#include <umbel/ws.h>

#define AT(type, member, at) _Static_assert(offsetof(struct type, member) == (at), #type "." #member " has moved")
#define IS(type, member, is) _Static_assert(__builtin_types_compatible_p(__typeof__(((struct type *)0)->member), is), #type "." #member " has another type")
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type " has another size and cannot tell it")
#define GROWS(type, size) _Static_assert(sizeof(struct type) >= (size), #type " has shrunk")
#define VALUE(name, value) _Static_assert((name) == (value), #name " has another value")

SIZE(umbel_option, 72);
AT(umbel_option, type, 0);
IS(umbel_option, type, uint32_t);
AT(umbel_option, flags, 4);
IS(umbel_option, flags, uint32_t);
AT(umbel_option, name, 8);
IS(umbel_option, name, const char *);
AT(umbel_option, otherwise, 16);
IS(umbel_option, otherwise, const char *);
AT(umbel_option, choices, 24);
IS(umbel_option, choices, const char *);
AT(umbel_option, min, 32);
IS(umbel_option, min, int64_t);
AT(umbel_option, max, 40);
IS(umbel_option, max, int64_t);
AT(umbel_option, help, 48);
IS(umbel_option, help, const char *);
AT(umbel_option, section, 56);
IS(umbel_option, section, const struct umbel_option *);
AT(umbel_option, section_count, 64);
IS(umbel_option, section_count, uint64_t);
GROWS(umbel_event, 64);
AT(umbel_event, struct_size, 0);
IS(umbel_event, struct_size, uint32_t);
AT(umbel_event, kind, 4);
IS(umbel_event, kind, uint32_t);
AT(umbel_event, data, 8);
IS(umbel_event, data, const char *);
AT(umbel_event, size, 16);
IS(umbel_event, size, uint64_t);
AT(umbel_event, position, 24);
IS(umbel_event, position, uint64_t);
AT(umbel_event, arrival_ns, 32);
IS(umbel_event, arrival_ns, uint64_t);
AT(umbel_event, code, 40);
IS(umbel_event, code, uint32_t);
AT(umbel_event, flags, 44);
IS(umbel_event, flags, uint32_t);
AT(umbel_event, prompt_tokens, 48);
IS(umbel_event, prompt_tokens, uint64_t);
AT(umbel_event, completion_tokens, 56);
IS(umbel_event, completion_tokens, uint64_t);
GROWS(umbel_stream, 48);
AT(umbel_stream, struct_size, 0);
IS(umbel_stream, struct_size, uint32_t);
AT(umbel_stream, flags, 4);
IS(umbel_stream, flags, uint32_t);
AT(umbel_stream, id, 8);
IS(umbel_stream, id, const char *);
AT(umbel_stream, app, 16);
IS(umbel_stream, app, const char *);
AT(umbel_stream, session, 24);
IS(umbel_stream, session, const char *);
AT(umbel_stream, model, 32);
IS(umbel_stream, model, const char *);
AT(umbel_stream, created, 40);
IS(umbel_stream, created, uint64_t);
SIZE(umbel_credential, 24);
AT(umbel_credential, kind, 0);
IS(umbel_credential, kind, uint32_t);
AT(umbel_credential, reserved, 4);
IS(umbel_credential, reserved, uint32_t);
AT(umbel_credential, value, 8);
IS(umbel_credential, value, const char *);
AT(umbel_credential, size, 16);
IS(umbel_credential, size, uint64_t);
GROWS(umbel_request, 56);
AT(umbel_request, struct_size, 0);
IS(umbel_request, struct_size, uint32_t);
AT(umbel_request, flags, 4);
IS(umbel_request, flags, uint32_t);
AT(umbel_request, session, 8);
IS(umbel_request, session, const char *);
AT(umbel_request, messages, 16);
IS(umbel_request, messages, const char *);
AT(umbel_request, messages_size, 24);
IS(umbel_request, messages_size, uint64_t);
AT(umbel_request, model, 32);
IS(umbel_request, model, const char *);
AT(umbel_request, parameters, 40);
IS(umbel_request, parameters, const char *);
AT(umbel_request, parameters_size, 48);
IS(umbel_request, parameters_size, uint64_t);
SIZE(umbel_reader_options, 24);
AT(umbel_reader_options, reader_data, 0);
IS(umbel_reader_options, reader_data, void *);
AT(umbel_reader_options, variant, 8);
IS(umbel_reader_options, variant, uint32_t);
AT(umbel_reader_options, max_text, 12);
IS(umbel_reader_options, max_text, uint32_t);
AT(umbel_reader_options, max_batch, 16);
IS(umbel_reader_options, max_batch, uint32_t);
AT(umbel_reader_options, flags, 20);
IS(umbel_reader_options, flags, uint32_t);
GROWS(umbel_codec, 56);
AT(umbel_codec, struct_size, 0);
IS(umbel_codec, struct_size, uint32_t);
AT(umbel_codec, reserved, 4);
IS(umbel_codec, reserved, uint32_t);
AT(umbel_codec, authorized, 8);
IS(umbel_codec, authorized, void (*)(void *client_data, uint32_t error, const char *text));
AT(umbel_codec, began, 16);
IS(umbel_codec, began, int (*)(void *client_data, uint64_t tag, struct umbel_reader *reader, const struct umbel_stream *stream, struct umbel_reader_options *ret_options));
AT(umbel_codec, refused, 24);
IS(umbel_codec, refused, void (*)(void *client_data, uint64_t tag, uint32_t error, const char *text));
AT(umbel_codec, encode, 32);
IS(umbel_codec, encode, int (*)(void *self, uint32_t variant, void *reader_data, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out));
AT(umbel_codec, write, 40);
IS(umbel_codec, write, int (*)(void *reader_data, const void *bytes, size_t size, int last));
AT(umbel_codec, ended, 48);
IS(umbel_codec, ended, void (*)(void *reader_data, uint32_t verdict));
GROWS(umbel_host, 248);
AT(umbel_host, struct_size, 0);
IS(umbel_host, struct_size, uint32_t);
AT(umbel_host, abi_major, 4);
IS(umbel_host, abi_major, uint16_t);
AT(umbel_host, abi_minor, 6);
IS(umbel_host, abi_minor, uint16_t);
AT(umbel_host, context, 8);
IS(umbel_host, context, void *);
AT(umbel_host, base, 16);
IS(umbel_host, base, struct event_base *);
AT(umbel_host, transport, 24);
IS(umbel_host, transport, const char *);
AT(umbel_host, log, 32);
IS(umbel_host, log, void (*)(const struct umbel_host *host, uint32_t level, const char *stream, const char *format, ...));
AT(umbel_host, on_turn, 40);
IS(umbel_host, on_turn, int (*)(const struct umbel_host *host, int (*turn)(void *arg), void *arg));
AT(umbel_host, listener, 48);
IS(umbel_host, listener, int (*)(const struct umbel_host *host, uint32_t index));
AT(umbel_host, admit, 56);
IS(umbel_host, admit, int (*)(const struct umbel_host *host, const struct sockaddr *address));
AT(umbel_host, config_text, 64);
IS(umbel_host, config_text, const char * (*)(const struct umbel_config *config, const char *name));
AT(umbel_host, config_integer, 72);
IS(umbel_host, config_integer, int64_t (*)(const struct umbel_config *config, const char *name));
AT(umbel_host, config_item, 80);
IS(umbel_host, config_item, const char * (*)(const struct umbel_config *config, const char *name, uint32_t index));
AT(umbel_host, config_section, 88);
IS(umbel_host, config_section, const struct umbel_config * (*)(const struct umbel_config *config, const char *name, uint32_t index));
AT(umbel_host, config_title, 96);
IS(umbel_host, config_title, const char * (*)(const struct umbel_config *section));
AT(umbel_host, client_open, 104);
IS(umbel_host, client_open, struct umbel_client * (*)(const struct umbel_host *host, const struct umbel_codec *codec, void *self, void *client_data, const char *peer));
AT(umbel_host, client_close, 112);
IS(umbel_host, client_close, void (*)(struct umbel_client *client));
AT(umbel_host, authorize, 120);
IS(umbel_host, authorize, void (*)(struct umbel_client *client, const struct umbel_credential *credentials, uint32_t count));
AT(umbel_host, ask, 128);
IS(umbel_host, ask, int (*)(struct umbel_client *client, uint64_t tag, const struct umbel_request *request));
AT(umbel_host, watch, 136);
IS(umbel_host, watch, int (*)(struct umbel_client *client, uint64_t tag, const char *session));
AT(umbel_host, unwatch, 144);
IS(umbel_host, unwatch, void (*)(struct umbel_client *client, uint64_t tag));
AT(umbel_host, resume, 152);
IS(umbel_host, resume, int (*)(struct umbel_client *client, uint64_t tag, const char *stream_id, uint64_t position));
AT(umbel_host, abandon, 160);
IS(umbel_host, abandon, void (*)(struct umbel_client *client, uint64_t tag));
AT(umbel_host, stop, 168);
IS(umbel_host, stop, int (*)(struct umbel_client *client, uint64_t tag, const char *stream_id));
AT(umbel_host, reader_ready, 176);
IS(umbel_host, reader_ready, void (*)(struct umbel_reader *reader));
AT(umbel_host, reader_leave, 184);
IS(umbel_host, reader_leave, void (*)(struct umbel_reader *reader));
AT(umbel_host, reader_stream, 192);
IS(umbel_host, reader_stream, const struct umbel_stream * (*)(const struct umbel_reader *reader));
AT(umbel_host, reader_position, 200);
IS(umbel_host, reader_position, uint64_t (*)(const struct umbel_reader *reader));
AT(umbel_host, count, 208);
IS(umbel_host, count, void (*)(const struct umbel_host *host, const char *name, uint64_t add));
AT(umbel_host, keep, 216);
IS(umbel_host, keep, int (*)(const struct umbel_host *host, const char *key, const void *value, uint64_t size));
AT(umbel_host, kept, 224);
IS(umbel_host, kept, void (*)(const struct umbel_host *host, void (*visit)(void *arg, const char *key, const void *value, uint64_t size), void *arg));
AT(umbel_host, reply, 232);
IS(umbel_host, reply, void (*)(const struct umbel_host *host, uint64_t id, const char *error, const char *members));
AT(umbel_host, drained, 240);
IS(umbel_host, drained, void (*)(const struct umbel_host *host));
GROWS(umbel_http_start, 64);
AT(umbel_http_start, struct_size, 0);
IS(umbel_http_start, struct_size, uint32_t);
AT(umbel_http_start, status, 4);
IS(umbel_http_start, status, uint32_t);
AT(umbel_http_start, headers, 8);
IS(umbel_http_start, headers, const char *);
AT(umbel_http_start, variant, 16);
IS(umbel_http_start, variant, uint32_t);
AT(umbel_http_start, flags, 20);
IS(umbel_http_start, flags, uint32_t);
AT(umbel_http_start, max_text, 24);
IS(umbel_http_start, max_text, uint32_t);
AT(umbel_http_start, pace_bytes, 28);
IS(umbel_http_start, pace_bytes, uint32_t);
AT(umbel_http_start, pace_ms, 32);
IS(umbel_http_start, pace_ms, uint32_t);
AT(umbel_http_start, hold_ms, 36);
IS(umbel_http_start, hold_ms, uint32_t);
AT(umbel_http_start, keepalive_ms, 40);
IS(umbel_http_start, keepalive_ms, uint32_t);
AT(umbel_http_start, max_ms, 44);
IS(umbel_http_start, max_ms, uint32_t);
AT(umbel_http_start, keepalive, 48);
IS(umbel_http_start, keepalive, const char *);
AT(umbel_http_start, keepalive_size, 56);
IS(umbel_http_start, keepalive_size, uint64_t);
GROWS(umbel_http_ending, 64);
AT(umbel_http_ending, struct_size, 0);
IS(umbel_http_ending, struct_size, uint32_t);
AT(umbel_http_ending, verdict, 4);
IS(umbel_http_ending, verdict, uint32_t);
AT(umbel_http_ending, finish, 8);
IS(umbel_http_ending, finish, uint32_t);
AT(umbel_http_ending, error, 12);
IS(umbel_http_ending, error, uint32_t);
AT(umbel_http_ending, finish_word, 16);
IS(umbel_http_ending, finish_word, const char *);
AT(umbel_http_ending, error_text, 24);
IS(umbel_http_ending, error_text, const char *);
AT(umbel_http_ending, position, 32);
IS(umbel_http_ending, position, uint64_t);
AT(umbel_http_ending, usage, 40);
IS(umbel_http_ending, usage, uint32_t);
AT(umbel_http_ending, reserved, 44);
IS(umbel_http_ending, reserved, uint32_t);
AT(umbel_http_ending, prompt_tokens, 48);
IS(umbel_http_ending, prompt_tokens, uint64_t);
AT(umbel_http_ending, completion_tokens, 56);
IS(umbel_http_ending, completion_tokens, uint64_t);
GROWS(umbel_http_codec, 112);
AT(umbel_http_codec, struct_size, 0);
IS(umbel_http_codec, struct_size, uint32_t);
AT(umbel_http_codec, request_size, 4);
IS(umbel_http_codec, request_size, uint32_t);
AT(umbel_http_codec, max_line, 8);
IS(umbel_http_codec, max_line, uint32_t);
AT(umbel_http_codec, max_headers, 12);
IS(umbel_http_codec, max_headers, uint32_t);
AT(umbel_http_codec, max_body, 16);
IS(umbel_http_codec, max_body, uint32_t);
AT(umbel_http_codec, reserved, 20);
IS(umbel_http_codec, reserved, uint32_t);
AT(umbel_http_codec, methods, 24);
IS(umbel_http_codec, methods, const char *);
AT(umbel_http_codec, request, 32);
IS(umbel_http_codec, request, void (*)(void *self, struct umbel_http_request *request));
AT(umbel_http_codec, failed, 40);
IS(umbel_http_codec, failed, void (*)(void *self, struct umbel_http_request *request, uint32_t status, const char *text));
AT(umbel_http_codec, authorized, 48);
IS(umbel_http_codec, authorized, void (*)(void *self, struct umbel_http_request *request, uint32_t error, const char *text));
AT(umbel_http_codec, began, 56);
IS(umbel_http_codec, began, int (*)(void *self, struct umbel_http_request *request, const struct umbel_stream *stream, struct umbel_http_start *ret_start));
AT(umbel_http_codec, refused, 64);
IS(umbel_http_codec, refused, void (*)(void *self, struct umbel_http_request *request, uint32_t error, const char *text));
AT(umbel_http_codec, encode, 72);
IS(umbel_http_codec, encode, int (*)(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out));
AT(umbel_http_codec, encode_end, 80);
IS(umbel_http_codec, encode_end, int (*)(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_http_ending *ending, struct umbel_out *out));
AT(umbel_http_codec, unsaid, 88);
IS(umbel_http_codec, unsaid, int (*)(void *self, struct umbel_http_request *request, const struct umbel_stream *stream, const struct umbel_http_ending *ending));
AT(umbel_http_codec, deadline, 96);
IS(umbel_http_codec, deadline, void (*)(void *self, struct umbel_http_request *request, const struct umbel_stream *stream, uint64_t position, struct umbel_out *out));
AT(umbel_http_codec, closed, 104);
IS(umbel_http_codec, closed, void (*)(void *self, struct umbel_http_request *request));
SIZE(umbel_out, 40);
AT(umbel_out, data, 0);
IS(umbel_out, data, char *);
AT(umbel_out, size, 8);
IS(umbel_out, size, size_t);
AT(umbel_out, capacity, 16);
IS(umbel_out, capacity, size_t);
AT(umbel_out, limit, 24);
IS(umbel_out, limit, size_t);
AT(umbel_out, failed, 32);
IS(umbel_out, failed, int);
GROWS(umbel_rest_settings, 40);
AT(umbel_rest_settings, struct_size, 0);
IS(umbel_rest_settings, struct_size, uint32_t);
AT(umbel_rest_settings, max_calls, 4);
IS(umbel_rest_settings, max_calls, uint32_t);
AT(umbel_rest_settings, max_connections, 8);
IS(umbel_rest_settings, max_connections, uint32_t);
AT(umbel_rest_settings, connect_timeout_ms, 12);
IS(umbel_rest_settings, connect_timeout_ms, uint32_t);
AT(umbel_rest_settings, timeout_ms, 16);
IS(umbel_rest_settings, timeout_ms, uint32_t);
AT(umbel_rest_settings, max_reply, 20);
IS(umbel_rest_settings, max_reply, uint32_t);
AT(umbel_rest_settings, ca_file, 24);
IS(umbel_rest_settings, ca_file, const char *);
AT(umbel_rest_settings, agent, 32);
IS(umbel_rest_settings, agent, const char *);
GROWS(umbel_rest_request, 40);
AT(umbel_rest_request, struct_size, 0);
IS(umbel_rest_request, struct_size, uint32_t);
AT(umbel_rest_request, flags, 4);
IS(umbel_rest_request, flags, uint32_t);
AT(umbel_rest_request, url, 8);
IS(umbel_rest_request, url, const char *);
AT(umbel_rest_request, content_type, 16);
IS(umbel_rest_request, content_type, const char *);
AT(umbel_rest_request, body, 24);
IS(umbel_rest_request, body, const void *);
AT(umbel_rest_request, size, 32);
IS(umbel_rest_request, size, uint64_t);
GROWS(umbel_rest_outcome, 48);
AT(umbel_rest_outcome, struct_size, 0);
IS(umbel_rest_outcome, struct_size, uint32_t);
AT(umbel_rest_outcome, result, 4);
IS(umbel_rest_outcome, result, uint32_t);
AT(umbel_rest_outcome, status, 8);
IS(umbel_rest_outcome, status, uint32_t);
AT(umbel_rest_outcome, retry_after_s, 12);
IS(umbel_rest_outcome, retry_after_s, uint32_t);
AT(umbel_rest_outcome, body, 16);
IS(umbel_rest_outcome, body, const char *);
AT(umbel_rest_outcome, size, 24);
IS(umbel_rest_outcome, size, uint64_t);
AT(umbel_rest_outcome, text, 32);
IS(umbel_rest_outcome, text, const char *);
AT(umbel_rest_outcome, took_us, 40);
IS(umbel_rest_outcome, took_us, uint64_t);
GROWS(umbel_transport, 96);
AT(umbel_transport, struct_size, 0);
IS(umbel_transport, struct_size, uint32_t);
AT(umbel_transport, abi_major, 4);
IS(umbel_transport, abi_major, uint16_t);
AT(umbel_transport, abi_minor, 6);
IS(umbel_transport, abi_minor, uint16_t);
AT(umbel_transport, name, 8);
IS(umbel_transport, name, const char *);
AT(umbel_transport, version, 16);
IS(umbel_transport, version, const char *);
AT(umbel_transport, summary, 24);
IS(umbel_transport, summary, const char *);
AT(umbel_transport, options, 32);
IS(umbel_transport, options, const struct umbel_option *);
AT(umbel_transport, option_count, 40);
IS(umbel_transport, option_count, uint32_t);
AT(umbel_transport, option_size, 44);
IS(umbel_transport, option_size, uint32_t);
AT(umbel_transport, needs, 48);
IS(umbel_transport, needs, uint32_t);
AT(umbel_transport, reserved, 52);
IS(umbel_transport, reserved, uint32_t);
AT(umbel_transport, open, 56);
IS(umbel_transport, open, int (*)(const struct umbel_host *host, const struct umbel_config *config, void **ret_self));
AT(umbel_transport, drain, 64);
IS(umbel_transport, drain, void (*)(void *self, uint32_t deadline_ms));
AT(umbel_transport, reload, 72);
IS(umbel_transport, reload, int (*)(void *self));
AT(umbel_transport, close, 80);
IS(umbel_transport, close, void (*)(void *self));
AT(umbel_transport, command, 88);
IS(umbel_transport, command, void (*)(void *self, uint64_t id, const char *command, const char *const *arguments, uint32_t count));
GROWS(umbel_ws_upgrade, 48);
AT(umbel_ws_upgrade, struct_size, 0);
IS(umbel_ws_upgrade, struct_size, uint32_t);
AT(umbel_ws_upgrade, tls, 4);
IS(umbel_ws_upgrade, tls, uint32_t);
AT(umbel_ws_upgrade, path, 8);
IS(umbel_ws_upgrade, path, const char *);
AT(umbel_ws_upgrade, peer, 16);
IS(umbel_ws_upgrade, peer, const char *);
AT(umbel_ws_upgrade, context, 24);
IS(umbel_ws_upgrade, context, void *);
AT(umbel_ws_upgrade, header, 32);
IS(umbel_ws_upgrade, header, const char * (*)(const struct umbel_ws_upgrade *upgrade, const char *name));
AT(umbel_ws_upgrade, query, 40);
IS(umbel_ws_upgrade, query, const char * (*)(const struct umbel_ws_upgrade *upgrade, const char *name));
GROWS(umbel_ws_question, 32);
AT(umbel_ws_question, struct_size, 0);
IS(umbel_ws_question, struct_size, uint32_t);
AT(umbel_ws_question, variant, 4);
IS(umbel_ws_question, variant, uint32_t);
AT(umbel_ws_question, reader_flags, 8);
IS(umbel_ws_question, reader_flags, uint32_t);
AT(umbel_ws_question, reserved, 12);
IS(umbel_ws_question, reserved, uint32_t);
AT(umbel_ws_question, request, 16);
IS(umbel_ws_question, request, const struct umbel_request *);
AT(umbel_ws_question, data, 24);
IS(umbel_ws_question, data, void *);
GROWS(umbel_ws_codec, 96);
AT(umbel_ws_codec, struct_size, 0);
IS(umbel_ws_codec, struct_size, uint32_t);
AT(umbel_ws_codec, client_size, 4);
IS(umbel_ws_codec, client_size, uint32_t);
AT(umbel_ws_codec, max_message, 8);
IS(umbel_ws_codec, max_message, uint32_t);
AT(umbel_ws_codec, max_waiting, 12);
IS(umbel_ws_codec, max_waiting, uint32_t);
AT(umbel_ws_codec, max_in_flight, 16);
IS(umbel_ws_codec, max_in_flight, uint32_t);
AT(umbel_ws_codec, ping_s, 20);
IS(umbel_ws_codec, ping_s, uint32_t);
AT(umbel_ws_codec, pong_s, 24);
IS(umbel_ws_codec, pong_s, uint32_t);
AT(umbel_ws_codec, flags, 28);
IS(umbel_ws_codec, flags, uint32_t);
AT(umbel_ws_codec, idle_s, 32);
IS(umbel_ws_codec, idle_s, uint32_t);
AT(umbel_ws_codec, upgrade, 40);
IS(umbel_ws_codec, upgrade, int (*)(void *self, struct umbel_ws_client *client, const struct umbel_ws_upgrade *upgrade));
AT(umbel_ws_codec, authorized, 48);
IS(umbel_ws_codec, authorized, void (*)(void *self, struct umbel_ws_client *client, uint32_t error, const char *text));
AT(umbel_ws_codec, message, 56);
IS(umbel_ws_codec, message, void (*)(void *self, struct umbel_ws_client *client, const char *text, size_t size));
AT(umbel_ws_codec, encode, 64);
IS(umbel_ws_codec, encode, int (*)(void *self, uint32_t variant, void *data, const struct umbel_stream *stream, const struct umbel_event *event, struct umbel_out *out));
AT(umbel_ws_codec, refused, 72);
IS(umbel_ws_codec, refused, void (*)(void *self, struct umbel_ws_client *client, void *data, uint32_t error, const char *text, struct umbel_out *out));
AT(umbel_ws_codec, answered, 80);
IS(umbel_ws_codec, answered, void (*)(void *self, struct umbel_ws_client *client, void *data));
AT(umbel_ws_codec, closed, 88);
IS(umbel_ws_codec, closed, void (*)(void *self, struct umbel_ws_client *client));

VALUE(UMBEL_OPTION_TEXT, 1u);
VALUE(UMBEL_OPTION_INTEGER, 2u);
VALUE(UMBEL_OPTION_BOOL, 3u);
VALUE(UMBEL_OPTION_SECRET, 4u);
VALUE(UMBEL_OPTION_LIST, 5u);
VALUE(UMBEL_OPTION_SECTION, 6u);
VALUE(UMBEL_OPTION_REQUIRED, 1u);
VALUE(UMBEL_EVENT_OPEN, 1u);
VALUE(UMBEL_EVENT_TEXT, 2u);
VALUE(UMBEL_EVENT_REASONING, 3u);
VALUE(UMBEL_EVENT_TOOL, 4u);
VALUE(UMBEL_EVENT_USAGE, 5u);
VALUE(UMBEL_EVENT_FINISH, 6u);
VALUE(UMBEL_EVENT_ERROR, 7u);
VALUE(UMBEL_EVENT_CLOSED, 8u);
VALUE(UMBEL_FINISH_STOP, 1u);
VALUE(UMBEL_FINISH_LENGTH, 2u);
VALUE(UMBEL_FINISH_FILTER, 3u);
VALUE(UMBEL_FINISH_TOOL, 4u);
VALUE(UMBEL_FINISH_OTHER, 5u);
VALUE(UMBEL_ERROR_AUTH, 1u);
VALUE(UMBEL_ERROR_QUOTA, 2u);
VALUE(UMBEL_ERROR_RATE, 3u);
VALUE(UMBEL_ERROR_BUSY, 4u);
VALUE(UMBEL_ERROR_BAD_REQUEST, 5u);
VALUE(UMBEL_ERROR_UPSTREAM, 6u);
VALUE(UMBEL_ERROR_TIMEOUT, 7u);
VALUE(UMBEL_ERROR_INTERNAL, 8u);
VALUE(UMBEL_ERROR_NOT_FOUND, 9u);
VALUE(UMBEL_ERROR_POSITION, 10u);
VALUE(UMBEL_VERDICT_COMPLETE, 1u);
VALUE(UMBEL_VERDICT_TRUNCATED, 2u);
VALUE(UMBEL_VERDICT_FAILED, 3u);
VALUE(UMBEL_VERDICT_CANCELLED, 4u);
VALUE(UMBEL_EVENT_FLAG_ESTIMATED, 1u);
VALUE(UMBEL_LOG_ERROR, 1u);
VALUE(UMBEL_LOG_WARN, 2u);
VALUE(UMBEL_LOG_INFO, 3u);
VALUE(UMBEL_LOG_DEBUG, 4u);
VALUE(UMBEL_CREDENTIAL_KEY, 1u);
VALUE(UMBEL_CREDENTIAL_PUBLIC_ID, 2u);
VALUE(UMBEL_CREDENTIAL_APP, 3u);
VALUE(UMBEL_REQUEST_MEMORY, 1u);
VALUE(UMBEL_REQUEST_MODEL_HINT, 2u);
VALUE(UMBEL_WRITE_READY, 0);
VALUE(UMBEL_WRITE_FULL, 1);
VALUE(UMBEL_VARIANT_PRIVATE, 0xffffffffu);
VALUE(UMBEL_READER_SEPARATE, 1u);
VALUE(UMBEL_HTTP_APART, 1u);
VALUE(UMBEL_JSON_DEPTH_MAX, 64);
VALUE(UMBEL_JSON_NONE, 0);
VALUE(UMBEL_JSON_NULL, 1);
VALUE(UMBEL_JSON_BOOL, 2);
VALUE(UMBEL_JSON_NUMBER, 3);
VALUE(UMBEL_JSON_STRING, 4);
VALUE(UMBEL_JSON_ARRAY, 5);
VALUE(UMBEL_JSON_OBJECT, 6);
VALUE(UMBEL_REST_ONCE, 1u);
VALUE(UMBEL_REST_REPLY, 1u);
VALUE(UMBEL_REST_REFUSED, 2u);
VALUE(UMBEL_REST_UNCLEAR, 3u);
VALUE(UMBEL_NEEDS_OUTBOUND, 1u);
VALUE(UMBEL_WS_HOLD_BACK, 1u);

/* Every function: the same prototype, and there when this is linked. */
int umbel_http_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_http_codec *codec, void *self, struct umbel_http **ret_http);
void umbel_http_drain(struct umbel_http *http, uint32_t deadline_ms);
int umbel_http_reload(struct umbel_http *http);
void umbel_http_close(struct umbel_http *http);
void *umbel_http_data(struct umbel_http_request *request);
const char *umbel_http_method(struct umbel_http_request *request);
const char *umbel_http_path(struct umbel_http_request *request);
const char *umbel_http_header(struct umbel_http_request *request, const char *name);
const char *umbel_http_query(struct umbel_http_request *request, const char *name);
const char *umbel_http_form(struct umbel_http_request *request, const char *name);
const char *umbel_http_body(struct umbel_http_request *request, size_t *ret_size);
const char *umbel_http_peer(struct umbel_http_request *request);
int umbel_http_is_tls(struct umbel_http_request *request);
void umbel_http_authorize(struct umbel_http_request *request, const struct umbel_credential *credentials, uint32_t count);
uint32_t umbel_http_ask(struct umbel_http_request *request, const struct umbel_request *question);
uint32_t umbel_http_watch(struct umbel_http_request *request, const char *session);
uint32_t umbel_http_resume(struct umbel_http_request *request, const char *stream_id, uint64_t position);
void umbel_http_stop(struct umbel_http_request *request);
void umbel_http_answer(struct umbel_http_request *request, uint32_t status, const char *headers, const void *body, size_t size);
void umbel_http_begin(struct umbel_http_request *request, const struct umbel_http_start *start);
void umbel_http_say(struct umbel_http_request *request, const struct umbel_out *frames);
void umbel_http_end(struct umbel_http_request *request);
int umbel_http_is_begun(struct umbel_http_request *request);
size_t umbel_http_frame_begin(struct umbel_out *out);
void umbel_http_frame_end(struct umbel_out *out, size_t begin);
void umbel_http_gap(struct umbel_out *out, uint32_t ms);
struct umbel_json *umbel_json_parse(const char *text, size_t size, char *why, size_t why_size);
void umbel_json_free(struct umbel_json *value);
int umbel_json_type(const struct umbel_json *value);
const struct umbel_json *umbel_json_member(const struct umbel_json *object, const char *name);
size_t umbel_json_count(const struct umbel_json *array_or_object);
const struct umbel_json *umbel_json_first(const struct umbel_json *array_or_object);
const struct umbel_json *umbel_json_next(const struct umbel_json *value);
const char *umbel_json_name(const struct umbel_json *member);
const char *umbel_json_text(const struct umbel_json *string, size_t *ret_size);
int umbel_json_bool(const struct umbel_json *value, int otherwise);
double umbel_json_number(const struct umbel_json *value, double otherwise);
int64_t umbel_json_integer(const struct umbel_json *value, int64_t otherwise);
const char *umbel_json_member_text(const struct umbel_json *object, const char *name, const char *otherwise);
int64_t umbel_json_member_integer(const struct umbel_json *object, const char *name, int64_t otherwise);
void umbel_json_print(const struct umbel_json *value, struct umbel_out *out);
void umbel_out_free(struct umbel_out *out);
void umbel_out_reset(struct umbel_out *out);
char *umbel_out_reserve(struct umbel_out *out, size_t size);
void umbel_out_put(struct umbel_out *out, const void *bytes, size_t size);
void umbel_out_text(struct umbel_out *out, const char *text);
void umbel_out_u64(struct umbel_out *out, uint64_t value);
void umbel_out_json(struct umbel_out *out, const char *text, size_t size);
void umbel_out_json_bare(struct umbel_out *out, const char *text, size_t size);
void umbel_out_json_ascii(struct umbel_out *out, const char *text, size_t size);
int umbel_rest_open(const struct umbel_host *host, const struct umbel_rest_settings *settings, struct umbel_rest **ret_rest);
void umbel_rest_close(struct umbel_rest *rest);
int umbel_rest_post(struct umbel_rest *rest, const struct umbel_rest_request *request, void (*done)(void *arg, const struct umbel_rest_outcome *outcome), void *arg, struct umbel_rest_call **ret_call);
void umbel_rest_cancel(struct umbel_rest_call *call);
uint32_t umbel_rest_calls(const struct umbel_rest *rest);
int umbel_ws_open(const struct umbel_host *host, const struct umbel_config *config, const struct umbel_ws_codec *codec, void *self, struct umbel_ws **ret_ws);
void umbel_ws_drain(struct umbel_ws *ws, uint32_t deadline_ms);
int umbel_ws_reload(struct umbel_ws *ws);
void umbel_ws_close(struct umbel_ws *ws);
void *umbel_ws_data(struct umbel_ws_client *client);
void umbel_ws_authorize(struct umbel_ws_client *client, const struct umbel_credential *credentials, uint32_t count);
void umbel_ws_ask(struct umbel_ws_client *client, const struct umbel_ws_question *question);
void umbel_ws_resume(struct umbel_ws_client *client, uint32_t variant, const char *stream_id, uint64_t position, void *data);
void umbel_ws_say(struct umbel_ws_client *client, const struct umbel_out *frames);
void umbel_ws_say_now(struct umbel_ws_client *client, const struct umbel_out *frames);
void umbel_ws_watch(struct umbel_ws_client *client, const char *session, uint32_t variant, void *data);
void umbel_ws_stop(struct umbel_ws_client *client, const char *stream_id);
void umbel_ws_end(struct umbel_ws_client *client, uint16_t code, const char *reason);
void umbel_ws_end_now(struct umbel_ws_client *client, uint16_t code, const char *reason);
size_t umbel_ws_frame_begin(struct umbel_out *out);
void umbel_ws_frame_end(struct umbel_out *out, size_t begin);

typedef void any_function(void);
extern any_function *const abi_functions[];
any_function *const abi_functions[] = {
    (any_function *)umbel_http_open,
    (any_function *)umbel_http_drain,
    (any_function *)umbel_http_reload,
    (any_function *)umbel_http_close,
    (any_function *)umbel_http_data,
    (any_function *)umbel_http_method,
    (any_function *)umbel_http_path,
    (any_function *)umbel_http_header,
    (any_function *)umbel_http_query,
    (any_function *)umbel_http_form,
    (any_function *)umbel_http_body,
    (any_function *)umbel_http_peer,
    (any_function *)umbel_http_is_tls,
    (any_function *)umbel_http_authorize,
    (any_function *)umbel_http_ask,
    (any_function *)umbel_http_watch,
    (any_function *)umbel_http_resume,
    (any_function *)umbel_http_stop,
    (any_function *)umbel_http_answer,
    (any_function *)umbel_http_begin,
    (any_function *)umbel_http_say,
    (any_function *)umbel_http_end,
    (any_function *)umbel_http_is_begun,
    (any_function *)umbel_http_frame_begin,
    (any_function *)umbel_http_frame_end,
    (any_function *)umbel_http_gap,
    (any_function *)umbel_json_parse,
    (any_function *)umbel_json_free,
    (any_function *)umbel_json_type,
    (any_function *)umbel_json_member,
    (any_function *)umbel_json_count,
    (any_function *)umbel_json_first,
    (any_function *)umbel_json_next,
    (any_function *)umbel_json_name,
    (any_function *)umbel_json_text,
    (any_function *)umbel_json_bool,
    (any_function *)umbel_json_number,
    (any_function *)umbel_json_integer,
    (any_function *)umbel_json_member_text,
    (any_function *)umbel_json_member_integer,
    (any_function *)umbel_json_print,
    (any_function *)umbel_out_free,
    (any_function *)umbel_out_reset,
    (any_function *)umbel_out_reserve,
    (any_function *)umbel_out_put,
    (any_function *)umbel_out_text,
    (any_function *)umbel_out_u64,
    (any_function *)umbel_out_json,
    (any_function *)umbel_out_json_bare,
    (any_function *)umbel_out_json_ascii,
    (any_function *)umbel_rest_open,
    (any_function *)umbel_rest_close,
    (any_function *)umbel_rest_post,
    (any_function *)umbel_rest_cancel,
    (any_function *)umbel_rest_calls,
    (any_function *)umbel_ws_open,
    (any_function *)umbel_ws_drain,
    (any_function *)umbel_ws_reload,
    (any_function *)umbel_ws_close,
    (any_function *)umbel_ws_data,
    (any_function *)umbel_ws_authorize,
    (any_function *)umbel_ws_ask,
    (any_function *)umbel_ws_resume,
    (any_function *)umbel_ws_say,
    (any_function *)umbel_ws_say_now,
    (any_function *)umbel_ws_watch,
    (any_function *)umbel_ws_stop,
    (any_function *)umbel_ws_end,
    (any_function *)umbel_ws_end_now,
    (any_function *)umbel_ws_frame_begin,
    (any_function *)umbel_ws_frame_end,
};

int main(void)
{
    return abi_functions[0] ? 0 : 1;
}
