// What the examples in C that answer HTTP requests use of wasi:http.
#pragma once

#include "abi.h"

#define HTTP "wasi:http/types@0.2.12"
#define STREAMS "wasi:io/streams@0.2.12"
#define HANDLER EXPORT("wasi:http/incoming-handler@0.2.12#handle")

// result<own<T>>
typedef struct {
  bool err;
  handle value;
} result_handle;

// result<_, T> whose payload is of no interest here
typedef struct {
  bool err;
  _Alignas(8) uint8_t payload[32];
} result_other;

// list<list<u8>>
typedef struct {
  const text *at;
  size_t length;
} texts;

IMPORT(HTTP, "[method]incoming-request.path-with-query") void request_target(handle, option_text *);
IMPORT(HTTP, "[method]incoming-request.headers") handle request_headers(handle);
IMPORT(HTTP, "[resource-drop]incoming-request") void request_drop(handle);
IMPORT(HTTP, "[constructor]fields") handle fields_new(void);
IMPORT(HTTP, "[method]fields.get") void fields_get(handle, const char *, size_t, texts *);
IMPORT(HTTP, "[method]fields.append")
void fields_append(handle, const char *, size_t, const char *, size_t, result_other *);
IMPORT(HTTP, "[resource-drop]fields") void fields_drop(handle);
IMPORT(HTTP, "[constructor]outgoing-response") handle response_new(handle fields);
IMPORT(HTTP, "[method]outgoing-response.set-status-code") bool response_set_status(handle, uint32_t);
IMPORT(HTTP, "[method]outgoing-response.body") void response_body(handle, result_handle *);
// result<own<outgoing-response>, error-code>, flattened: whether it is an err, and what it is.
IMPORT(HTTP, "[static]response-outparam.set")
void response_set(handle, bool err, uint32_t value, uint32_t, uint64_t, uint32_t, uint32_t, uint32_t, uint32_t);
IMPORT(HTTP, "[method]outgoing-body.write") void body_write(handle, result_handle *);
IMPORT(HTTP, "[static]outgoing-body.finish") void body_finish(handle, bool trailers, handle, result_other *);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush")
void stream_write(handle, const char *, size_t, result_other *);
IMPORT(STREAMS, "[resource-drop]output-stream") void stream_drop(handle);

// The most that `blocking-write-and-flush` accepts in one call.
enum { CHUNK = 4096 };

// A response whose head has been sent.
typedef struct {
  handle body, stream;
} outgoing;

static inline outgoing begin(handle response_out, uint32_t status, text content_type) {
  static const text NAME = TEXT("content-type");
  result_other done;
  result_handle body, stream;
  handle fields = fields_new();
  fields_append(fields, NAME.at, NAME.length, content_type.at, content_type.length, &done);
  handle response = response_new(fields);
  response_set_status(response, status);
  response_body(response, &body);
  response_set(response_out, false, response, 0, 0, 0, 0, 0, 0);
  body_write(body.value, &stream);
  return (outgoing){body.value, stream.value};
}

// Sends a part of the content, once there is room for it; whether it was taken: not if the client has gone.
static inline bool send(outgoing out, text content) {
  result_other done = {0};
  for (size_t at = 0; at < content.length && !done.err; at += CHUNK) {
    size_t left = content.length - at;
    stream_write(out.stream, content.at + at, left < CHUNK ? left : CHUNK, &done);
  }
  return !done.err;
}

static inline void finish(outgoing out) {
  result_other done;
  stream_drop(out.stream);
  body_finish(out.body, false, 0, &done);
}
