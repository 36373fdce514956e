// Reveals the secret that the path names: /NAME. The answer is 200 with the case of its value and the
// value itself, or 404 if there is none.
#include "wasi.h"

#define SECRETS(interface, name) \
  __attribute__((import_module("wasmcloud:secrets/" interface "@0.1.0-draft"), import_name(name))) extern

// result<own<secret>, secrets-error>
typedef struct {
  bool err;
  union {
    handle secret;
    struct {
      uint8_t which;
      text message;
    } error;
  };
} result_secret;

enum { UPSTREAM, IO, NOT_FOUND };

// secret-value
typedef struct {
  bool bytes;
  text value;
} secret_value;

SECRETS("store", "get") void store_get(const char *, size_t, result_secret *);
SECRETS("store", "[resource-drop]secret") void secret_drop(handle);
SECRETS("reveal", "reveal") void reveal(handle, secret_value *);

HANDLER void handle_request(handle request, handle response_out) {
  option_text target;
  incoming_request_path_with_query(request, &target);
  require(target.some);
  text name = after(target.value, 1);

  result_secret got;
  store_get(name.at, name.length, &got);
  if (got.err) {
    require(got.error.which == NOT_FOUND);
    finish(respond(response_out, 404, plain_text()));
    return;
  }
  secret_value found;
  reveal(got.secret, &found);
  secret_drop(got.secret);
  outgoing out = respond(response_out, 200, plain_text());
  write_all(out.stream, found.bytes ? TEXT("bytes ") : TEXT("string "));
  write_all(out.stream, found.value);
  finish(out);
}
