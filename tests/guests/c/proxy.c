// Forwards the body of the request as a POST to the server that the path names, and sends back what
// that answers: /127.0.0.1:8080/echo asks http://127.0.0.1:8080/echo. Both bodies move at once, and
// no more of one is read than is taken at its other end, so however large they are, this guest and
// its host hold a piece of each.
#include "wasi.h"

static const uint64_t PIECE = 64 * 1024;

// A body that becomes another.
typedef struct {
  incoming from;
  outgoing to;
  bool open;
} flow;

// Lets go of both bodies. One that was cut short is not finished, so whoever reads it learns of it.
static void end(flow *f, bool whole) {
  f->open = false;
  incoming_drop(f->from);
  if (whole) {
    finish(f->to);
  } else {
    output_stream_drop(f->to.stream);
    outgoing_body_drop(f->to.body);
  }
}

// Moves what can be moved now. Returns what to wait for then, or 0 once the flow has ended.
static handle move(flow *f) {
  size_t mark = arena_used;
  while (f->open) {
    result_stream_u64 permit;
    output_stream_check_write(f->to.stream, &permit);
    if (permit.err) {
      end(f, false);
      break;
    }
    if (!permit.value) return output_stream_subscribe(f->to.stream);
    result_stream_bytes read;
    input_stream_read(f->from.stream, permit.value < PIECE ? permit.value : PIECE, &read);
    if (read.err) {
      end(f, read.error.closed);
      break;
    }
    if (!read.value.length) return input_stream_subscribe(f->from.stream);
    result_stream written;
    output_stream_write(f->to.stream, read.value.at, read.value.length, &written);
    if (written.err) end(f, false);
    arena_used = mark;
  }
  return 0;
}

// Waits until one of two pollables is ready, the second of which may be missing, and drops both.
static void wait_for_either(handle first, handle second) {
  handle both[] = {first, second};
  indexes ready;
  size_t mark = arena_used;
  poll(both, second ? 2 : 1, &ready);
  arena_used = mark;
  pollable_drop(first);
  if (second) pollable_drop(second);
}

static handle post_to(text authority, text path) {
  handle request = outgoing_request_new(fields_new());
  require(!outgoing_request_set_method(request, METHOD_POST, 0, 0));
  require(!outgoing_request_set_scheme(request, true, SCHEME_HTTP, 0, 0));
  require(!outgoing_request_set_authority(request, true, authority.at, authority.length));
  require(!outgoing_request_set_path_with_query(request, true, path.at, path.length));
  return request;
}

// Sends a request and as much of its body as is taken until there is a response; false if there is
// none. A body that has not ended by then goes on.
static bool send(handle request, flow *up, handle *response) {
  result_future future;
  option_response got;
  outgoing_handler_handle(request, false, 0, &future);
  if (future.err) return false;
  for (;;) {
    future_incoming_response_get(future.value, &got);
    if (got.some) break;
    handle moved = move(up);
    wait_for_either(future_incoming_response_subscribe(future.value), moved);
  }
  require(!got.taken);
  *response = got.value;
  return !got.err;
}

HANDLER void handle_request(handle request, handle response_out) {
  option_text target;
  incoming_request_path_with_query(request, &target);
  require(target.some);
  text path = after(target.value, 1);
  text authority = until(path, '/');
  handle forwarded = post_to(authority, after(path, authority.length));

  result_handle body;
  outgoing_request_body(forwarded, &body);
  flow up = {.from = consume(request), .to = writing(body), .open = true};
  handle response;
  if (!send(forwarded, &up, &response)) {
    finish(respond(response_out, 502, fields_new()));
    return;
  }

  incoming_response_consume(response, &body);
  flow down = {.from = reading(body), .open = true};
  down.to = respond(response_out, incoming_response_status(response), fields_new());
  for (;;) {
    handle sent = move(&up);
    handle received = move(&down);
    if (received) {
      wait_for_either(received, sent);
    } else {
      // What the server did not wait for is not its to have.
      if (sent) pollable_drop(sent);
      return;
    }
  }
}
