// Stands before another handler: has it answer all but requests for /denied, which it answers itself.
#include "wasi.h"

IMPORT("http/incoming-handler", "handle") void next(handle request, handle response_out);

HANDLER void handle_request(handle request, handle response_out) {
  option_text target;
  incoming_request_path_with_query(request, &target);
  if (!starts_with(target.value, TEXT("/denied"))) {
    next(request, response_out);
    return;
  }
  incoming_request_drop(request);
  outgoing out = respond(response_out, 403, plain_text());
  write_all(out.stream, TEXT("denied\n"));
  finish(out);
}
