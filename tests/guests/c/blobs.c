// Keeps what it is sent in the container "uploads": /put/NAME stores the body of the request as it
// arrives, /get/NAME sends the object back as it is read, /sync/NAME in one piece. What goes wrong is
// a 502 with what the store said. Whatever the size, this guest and its host hold a few pieces of it.
#include "wasi.h"

#define BLOBSTORE(interface, name)                                                             \
  __attribute__((import_module("wasi:blobstore/" interface "@0.2.0-draft"), import_name(name))) \
  extern

// result<own<T>, string>, and result<_, string>
typedef struct {
  bool err;
  union {
    handle value;
    text error;
  };
} outcome;

// result<list<u8>, string>
typedef struct {
  bool err;
  text value;
} outcome_bytes;

BLOBSTORE("blobstore", "create-container") void create_container(const char *, size_t, outcome *);
BLOBSTORE("blobstore", "get-container") void get_container(const char *, size_t, outcome *);
BLOBSTORE("container", "[method]container.get-data")
void get_data(handle, const char *, size_t, uint64_t, uint64_t, outcome *);
BLOBSTORE("container", "[method]container.write-data")
void write_data(handle, const char *, size_t, handle, outcome *);
BLOBSTORE("types", "[static]outgoing-value.new-outgoing-value") handle new_outgoing_value(void);
BLOBSTORE("types", "[method]outgoing-value.outgoing-value-write-body")
void outgoing_value_write_body(handle, result_handle *);
BLOBSTORE("types", "[static]outgoing-value.finish") void outgoing_value_finish(handle, outcome *);
BLOBSTORE("types", "[static]incoming-value.incoming-value-consume-async")
void incoming_value_consume_async(handle, outcome *);
BLOBSTORE("types", "[static]incoming-value.incoming-value-consume-sync")
void incoming_value_consume_sync(handle, outcome_bytes *);

static const uint64_t PIECE = 64 * 1024;
static const text UPLOADS = {"uploads", 7};

static void answer(handle response_out, uint32_t status, text said) {
  outgoing out = respond(response_out, status, plain_text());
  write_all(out.stream, said);
  finish(out);
}

// Stores what a body has; gives what the store said of it.
static outcome put(handle container, text name, incoming from) {
  outcome done;
  result_handle body;
  handle value = new_outgoing_value();
  outgoing_value_write_body(value, &body);
  require(!body.err);
  write_data(container, name.at, name.length, value, &done);
  size_t mark = arena_used;
  while (!done.err) {
    text piece;
    result_stream_u64 permit;
    result_stream written;
    output_stream_check_write(body.value, &permit);
    if (permit.err) break;
    if (!permit.value) {
      wait_for(output_stream_subscribe(body.value));
      continue;
    }
    if (!next_piece(from, permit.value < PIECE ? permit.value : PIECE, &piece)) break;
    output_stream_write(body.value, piece.at, piece.length, &written);
    if (written.err) break;
    arena_used = mark;
  }
  output_stream_drop(body.value);
  if (!done.err) outgoing_value_finish(value, &done);
  return done;
}

HANDLER void handle_request(handle request, handle response_out) {
  option_text path;
  outcome found;
  incoming_request_path_with_query(request, &path);
  require(path.some);
  text whole = path.value;
  text name = after(whole, 5);
  create_container(UPLOADS.at, UPLOADS.length, &found);
  if (found.err) get_container(UPLOADS.at, UPLOADS.length, &found);
  if (found.err) return answer(response_out, 502, found.error);
  handle container = found.value;
  if (starts_with(whole, TEXT("/put/"))) {
    incoming in = consume(request);
    outcome stored = put(container, name, in);
    incoming_drop(in);
    return stored.err ? answer(response_out, 502, stored.error)
                      : answer(response_out, 201, TEXT("stored"));
  }
  if (starts_with(whole, TEXT("/sync/"))) name = after(name, 1);
  get_data(container, name.at, name.length, 0, UINT64_MAX, &found);
  if (found.err) return answer(response_out, 502, found.error);
  if (starts_with(whole, TEXT("/sync/"))) {
    outcome_bytes content;
    incoming_value_consume_sync(found.value, &content);
    return answer(response_out, content.err ? 502 : 200, content.value);
  }
  incoming_value_consume_async(found.value, &found);
  require(!found.err);
  incoming from = {.stream = found.value};
  outgoing out = respond(response_out, 200, fields_new());
  size_t mark = arena_used;
  for (;;) {
    text piece;
    uint64_t permit = write_permit(out.stream);
    if (!next_piece(from, permit < PIECE ? permit : PIECE, &piece)) break;
    write_all(out.stream, piece);
    arena_used = mark;
  }
  input_stream_drop(from.stream);
  finish(out);
}
