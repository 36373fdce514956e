// The canonical ABI of the WASI 0.2 functions that these guests call, and the little around it that
// a C program without a C library needs.
//
// Import modules and names are those of the component model's canonical ABI: a method is
// "[method]resource.name", dropping a handle is "[resource-drop]resource". A result that does not
// fit one core value is written to memory that the caller provides; the structs below are laid out
// as the ABI lays out those results. Handles are 32-bit numbers.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef WASI_VERSION
#error "WASI_VERSION is set by the build: the version of the interfaces to import, such as 0.2.0"
#endif

#define IMPORT(interface, name) \
  __attribute__((import_module("wasi:" interface "@" WASI_VERSION), import_name(name))) extern
#define HANDLER __attribute__((export_name("wasi:http/incoming-handler@" WASI_VERSION "#handle")))

typedef uint32_t handle;

typedef struct {
  const char *at;
  size_t length;
} text;

typedef struct {
  bool some;
  text value;
} option_text;

// result<own<T>>
typedef struct {
  bool err;
  handle value;
} result_handle;

// The payload of stream-error; `error` is a handle that is owned, when `closed` is false.
typedef struct {
  bool closed;
  handle error;
} stream_error;

// result<_, stream-error>
typedef struct {
  bool err;
  stream_error error;
} result_stream;

// result<u64, stream-error>
typedef struct {
  bool err;
  union {
    uint64_t value;
    stream_error error;
  };
} result_stream_u64;

// result<list<u8>, stream-error>
typedef struct {
  bool err;
  union {
    text value;
    stream_error error;
  };
} result_stream_bytes;

// result<_, error-code>: only whether it failed is of interest here, so the payload is opaque.
typedef struct {
  bool err;
  _Alignas(8) uint8_t error_code[32];
} result_error_code;

// result<own<future-incoming-response>, error-code>
typedef struct {
  bool err;
  _Alignas(8) union {
    handle value;
    uint8_t error_code[32];
  };
} result_future;

// option<result<result<own<incoming-response>, error-code>>>
typedef struct {
  bool some;
  _Alignas(8) bool taken;
  _Alignas(8) bool err;
  _Alignas(8) union {
    handle value;
    uint8_t error_code[32];
  };
} option_response;

// result<_, header-error>
typedef struct {
  bool err;
  uint8_t header_error;
} result_header;

typedef struct {
  const uint32_t *at;
  size_t length;
} indexes;

// wasi:io

IMPORT("io/error", "[resource-drop]error") void error_drop(handle);
IMPORT("io/poll", "[resource-drop]pollable") void pollable_drop(handle);
IMPORT("io/poll", "poll") void poll(const handle *, size_t, indexes *);
IMPORT("io/streams", "[method]input-stream.read")
void input_stream_read(handle, uint64_t, result_stream_bytes *);
IMPORT("io/streams", "[method]input-stream.subscribe") handle input_stream_subscribe(handle);
IMPORT("io/streams", "[resource-drop]input-stream") void input_stream_drop(handle);
IMPORT("io/streams", "[method]output-stream.check-write")
void output_stream_check_write(handle, result_stream_u64 *);
IMPORT("io/streams", "[method]output-stream.write")
void output_stream_write(handle, const char *, size_t, result_stream *);
IMPORT("io/streams", "[method]output-stream.blocking-write-and-flush")
void output_stream_blocking_write_and_flush(handle, const char *, size_t, result_stream *);
IMPORT("io/streams", "[method]output-stream.subscribe") handle output_stream_subscribe(handle);
IMPORT("io/streams", "[resource-drop]output-stream") void output_stream_drop(handle);

// wasi:clocks and wasi:cli

IMPORT("clocks/monotonic-clock", "subscribe-duration") handle subscribe_duration(uint64_t);
IMPORT("cli/exit", "exit") void cli_exit(bool err);
IMPORT("cli/stdout", "get-stdout") handle get_stdout(void);
IMPORT("cli/stderr", "get-stderr") handle get_stderr(void);

// wasi:http/types

IMPORT("http/types", "[constructor]fields") handle fields_new(void);
IMPORT("http/types", "[method]fields.append")
void fields_append(handle, const char *, size_t, const char *, size_t, result_header *);
IMPORT("http/types", "[method]incoming-request.path-with-query")
void incoming_request_path_with_query(handle, option_text *);
IMPORT("http/types", "[method]incoming-request.consume")
void incoming_request_consume(handle, result_handle *);
IMPORT("http/types", "[resource-drop]incoming-request") void incoming_request_drop(handle);
IMPORT("http/types", "[method]incoming-body.stream")
void incoming_body_stream(handle, result_handle *);
IMPORT("http/types", "[resource-drop]incoming-body") void incoming_body_drop(handle);
IMPORT("http/types", "[constructor]outgoing-response") handle outgoing_response_new(handle fields);
IMPORT("http/types", "[method]outgoing-response.set-status-code")
bool outgoing_response_set_status_code(handle, uint32_t);
IMPORT("http/types", "[method]outgoing-response.body")
void outgoing_response_body(handle, result_handle *);
IMPORT("http/types", "[method]outgoing-body.write")
void outgoing_body_write(handle, result_handle *);
IMPORT("http/types", "[resource-drop]outgoing-body") void outgoing_body_drop(handle);
IMPORT("http/types", "[static]outgoing-body.finish")
void outgoing_body_finish(handle, bool trailers, handle, result_error_code *);

// The second parameter is result<own<outgoing-response>, error-code>, flattened to the widest of
// its cases: `value` is the response, or the number of an error-code's case; a payload follows.
IMPORT("http/types", "[static]response-outparam.set")
void response_outparam_set(handle, bool err, uint32_t value, uint32_t, uint64_t, uint32_t, uint32_t,
                           uint32_t, uint32_t);

// Requests that go out. A method, like a scheme, is the number of its case and then the text of the
// case `other`, which is empty in all others.

enum { METHOD_POST = 2 };
enum { SCHEME_HTTP = 0 };

IMPORT("http/types", "[constructor]outgoing-request") handle outgoing_request_new(handle fields);
IMPORT("http/types", "[method]outgoing-request.set-method")
bool outgoing_request_set_method(handle, uint32_t, const char *, size_t);
IMPORT("http/types", "[method]outgoing-request.set-scheme")
bool outgoing_request_set_scheme(handle, bool some, uint32_t, const char *, size_t);
IMPORT("http/types", "[method]outgoing-request.set-authority")
bool outgoing_request_set_authority(handle, bool some, const char *, size_t);
IMPORT("http/types", "[method]outgoing-request.set-path-with-query")
bool outgoing_request_set_path_with_query(handle, bool some, const char *, size_t);
IMPORT("http/types", "[method]outgoing-request.body")
void outgoing_request_body(handle, result_handle *);
IMPORT("http/outgoing-handler", "handle")
void outgoing_handler_handle(handle, bool options, handle, result_future *);
IMPORT("http/types", "[method]future-incoming-response.subscribe")
handle future_incoming_response_subscribe(handle);
IMPORT("http/types", "[method]future-incoming-response.get")
void future_incoming_response_get(handle, option_response *);
IMPORT("http/types", "[method]incoming-response.status")
uint32_t incoming_response_status(handle);
IMPORT("http/types", "[method]incoming-response.consume")
void incoming_response_consume(handle, result_handle *);

// Memory: the host writes lists and strings to addresses that cabi_realloc hands out, one after
// the other in an arena. A guest that is done with what it was given sets `arena_used` back to what
// it was before; what does not fit traps. A guest that is given more than this defines its size.

#ifndef ARENA
#define ARENA (256 * 1024)
#endif

static char arena[ARENA] __attribute__((aligned(16)));
static size_t arena_used;

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  size_t start = (arena_used + align - 1) & ~(align - 1);
  if (size > sizeof arena - start) __builtin_trap();
  arena_used = start + size;
  if (old_size) __builtin_memcpy(arena + start, old, old_size < size ? old_size : size);
  return arena + start;
}

// Text

#define TEXT(literal) ((text){literal, sizeof literal - 1})

static inline bool starts_with(text whole, text start) {
  if (whole.length < start.length) return false;
  for (size_t i = 0; i < start.length; i++)
    if (whole.at[i] != start.at[i]) return false;
  return true;
}

static inline bool equals(text a, text b) { return a.length == b.length && starts_with(a, b); }

static inline text after(text whole, size_t count) {
  return (text){whole.at + count, whole.length - count};
}

static inline text until(text whole, char mark) {
  size_t end = 0;
  while (end < whole.length && whole.at[end] != mark) end++;
  return (text){whole.at, end};
}

// The number that follows `name=` in a query, or `otherwise`.
static inline uint64_t query_number(text query, text name, uint64_t otherwise) {
  while (query.length) {
    text pair = until(query, '&');
    if (starts_with(pair, name) && pair.length > name.length && pair.at[name.length] == '=') {
      uint64_t number = 0;
      for (size_t i = name.length + 1; i < pair.length; i++)
        number = number * 10 + (pair.at[i] - '0');
      return number;
    }
    query = after(query, pair.length < query.length ? pair.length + 1 : pair.length);
  }
  return otherwise;
}

// Waiting and writing

static inline void require(bool condition) {
  if (!condition) __builtin_trap();
}

// Waits until a pollable is ready, and drops it.
static inline void wait_for(handle pollable) {
  indexes ready;
  size_t mark = arena_used;
  poll(&pollable, 1, &ready);
  arena_used = mark;
  pollable_drop(pollable);
}

static inline void sleep_ms(uint64_t ms) { wait_for(subscribe_duration(ms * 1000000)); }

// How many bytes a stream takes now; waits until it takes any.
static inline uint64_t write_permit(handle stream) {
  for (;;) {
    result_stream_u64 permit;
    output_stream_check_write(stream, &permit);
    require(!permit.err);
    if (permit.value) return permit.value;
    wait_for(output_stream_subscribe(stream));
  }
}

static inline void write_all(handle stream, text data) {
  while (data.length) {
    uint64_t permit = write_permit(stream);
    size_t count = data.length < permit ? data.length : permit;
    result_stream written;
    output_stream_write(stream, data.at, count, &written);
    require(!written.err);
    data = after(data, count);
  }
}

// Reading and answering

typedef struct {
  handle body;
  handle stream;
} incoming;

typedef struct {
  handle body;
  handle stream;
} outgoing;

static inline incoming reading(result_handle body) {
  result_handle stream;
  require(!body.err);
  incoming_body_stream(body.value, &stream);
  require(!stream.err);
  return (incoming){.body = body.value, .stream = stream.value};
}

static inline outgoing writing(result_handle body) {
  result_handle stream;
  require(!body.err);
  outgoing_body_write(body.value, &stream);
  require(!stream.err);
  return (outgoing){.body = body.value, .stream = stream.value};
}

static inline incoming consume(handle request) {
  result_handle body;
  incoming_request_consume(request, &body);
  return reading(body);
}

// Waits for the next piece of a body, of at least one byte and at most `limit`; false at its end.
static inline bool next_piece(incoming in, uint64_t limit, text *piece) {
  for (;;) {
    result_stream_bytes read;
    input_stream_read(in.stream, limit, &read);
    if (read.err) {
      require(read.error.closed);
      return false;
    }
    *piece = read.value;
    if (piece->length) return true;
    wait_for(input_stream_subscribe(in.stream));
  }
}

static inline void incoming_drop(incoming in) {
  input_stream_drop(in.stream);
  incoming_body_drop(in.body);
}

// Sends the head of a response, and returns the body that is to follow.
static inline outgoing respond(handle response_out, uint32_t status, handle fields) {
  result_handle body;
  handle response = outgoing_response_new(fields);
  if (status != 200) require(!outgoing_response_set_status_code(response, status));
  outgoing_response_body(response, &body);
  response_outparam_set(response_out, false, response, 0, 0, 0, 0, 0, 0);
  return writing(body);
}

static inline void finish(outgoing out) {
  result_error_code finished;
  output_stream_drop(out.stream);
  outgoing_body_finish(out.body, false, 0, &finished);
  require(!finished.err);
}

static inline void append(handle fields, text name, text value) {
  result_header appended;
  fields_append(fields, name.at, name.length, value.at, value.length, &appended);
  require(!appended.err);
}

static inline handle plain_text(void) {
  handle fields = fields_new();
  append(fields, TEXT("content-type"), TEXT("text/plain"));
  return fields;
}
