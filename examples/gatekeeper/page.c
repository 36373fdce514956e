// Page: what only those see who have the key. It knows nothing of keys.
#include "http.h"

static const text PLAIN = TEXT("text/plain; charset=utf-8"), WELCOME = TEXT("Welcome.\n");

HANDLER void handle_request(handle request, handle response_out) {
  request_drop(request);
  outgoing out = begin(response_out, 200, PLAIN);
  send(out, WELCOME);
  finish(out);
}
