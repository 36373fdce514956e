// Sends the body of the request back as it arrives. It reads no more than it may write, so however
// large the body is, this guest and its host hold one piece of it.
#include "wasi.h"

static const uint64_t PIECE = 64 * 1024;

HANDLER void handle_request(handle request, handle response_out) {
  incoming in = consume(request);
  outgoing out = respond(response_out, 200, fields_new());
  size_t mark = arena_used;
  for (;;) {
    text piece;
    uint64_t permit = write_permit(out.stream);
    if (!next_piece(in, permit < PIECE ? permit : PIECE, &piece)) break;
    write_all(out.stream, piece);
    arena_used = mark;
  }
  incoming_drop(in);
  incoming_request_drop(request);
  finish(out);
}
