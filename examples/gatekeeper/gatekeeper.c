// Gatekeeper: lets requests pass to the handler behind it that have the key, and answers all others itself.
#include "http.h"

IMPORT("wasi:http/incoming-handler@0.2.12", "handle") void pass(handle request, handle response_out);

static const text FIELD = TEXT("x-api-key"), PLAIN = TEXT("text/plain; charset=utf-8");
static const text REFUSAL = TEXT("Send the key in x-api-key.\n");

static bool has_key(handle request) {
  const char *key = getenv("API_KEY");
  texts values;
  handle headers = request_headers(request);
  fields_get(headers, FIELD.at, FIELD.length, &values);
  fields_drop(headers);
  return key != NULL && values.length == 1 && equal(values.at[0], (text){key, strlen(key)});
}

HANDLER void handle_request(handle request, handle response_out) {
  if (has_key(request)) {
    pass(request, response_out);  // with both bodies, which nobody copies
    return;
  }
  request_drop(request);
  outgoing out = begin(response_out, 401, PLAIN);
  send(out, REFUSAL);
  finish(out);
}
