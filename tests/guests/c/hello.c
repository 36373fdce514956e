// The least that answers a request: nine calls of the host, and two handles dropped. The benchmarks
// measure the host with it.
#include "wasi.h"

HANDLER void handle_request(handle request, handle response_out) {
  incoming_request_drop(request);
  outgoing out = respond(response_out, 200, plain_text());
  write_all(out.stream, TEXT("Hello, World!\n"));
  finish(out);
}
