// Does one thing with a store, by the first draft of wasi:keyvalue: /OPERATION/STORE/KEY, where the
// operation is get, set (to the body), delete, exists or increment (by `delta`). The answer is what
// came of it: 200 with the value, 404 where there is none, or 502 with the error. For benchmarks, it
// does so as many times as `times` in the query says, and keeps a value to itself.
#define ARENA (3 * 1024 * 1024)
#include "keyvalue.h"

// result<u64, error>
typedef struct {
  bool err;
  union {
    uint64_t number;
    error error;
  };
} result_number;

KEYVALUE("atomics", "increment")
void increment(handle, const char *, size_t, uint64_t delta, result_number *);

typedef struct {
  uint32_t status;
  text body;
} answer;

static answer failed(error e) {
  switch (e.which) {
    case NO_SUCH_STORE:
      return (answer){502, TEXT("no-such-store")};
    case ACCESS_DENIED:
      return (answer){502, TEXT("access-denied")};
  }
  return (answer){502, e.message};
}

static text decimal(uint64_t number) {
  static char digits[20];
  size_t at = sizeof digits;
  do {
    digits[--at] = '0' + number % 10;
  } while (number /= 10);
  return (text){digits + at, sizeof digits - at};
}

static answer perform(text operation, handle bucket, text key, text value, uint64_t delta) {
  result_small done = {0};
  if (equals(operation, TEXT("get"))) {
    result_value got;
    bucket_get(bucket, key.at, key.length, &got);
    if (got.err) return failed(got.error);
    return got.value.some ? (answer){200, got.value.value} : (answer){404, TEXT("")};
  }
  if (equals(operation, TEXT("increment"))) {
    result_number sum;
    increment(bucket, key.at, key.length, delta, &sum);
    return sum.err ? failed(sum.error) : (answer){200, decimal(sum.number)};
  }
  if (equals(operation, TEXT("exists"))) {
    bucket_exists(bucket, key.at, key.length, &done);
    return done.err ? failed(done.error) : (answer){done.yes ? 200 : 404, TEXT("")};
  }
  if (equals(operation, TEXT("set")))
    bucket_set(bucket, key.at, key.length, value.at, value.length, &done);
  else if (equals(operation, TEXT("delete")))
    bucket_delete(bucket, key.at, key.length, &done);
  else
    __builtin_trap();
  return done.err ? failed(done.error) : (answer){200, TEXT("")};
}

// The whole body of a request. Its pieces follow one another in memory.
static text all_of(handle request) {
  incoming in = consume(request);
  text whole = {0}, piece;
  while (next_piece(in, 1024 * 1024, &piece)) {
    if (!whole.length) whole.at = piece.at;
    __builtin_memmove((char *)whole.at + whole.length, piece.at, piece.length);
    whole.length += piece.length;
    arena_used = whole.at + whole.length - arena;
  }
  incoming_drop(in);
  return whole;
}

static text segment(text *path) {
  text first = until(*path, '/');
  *path = after(*path, first.length < path->length ? first.length + 1 : first.length);
  return first;
}

HANDLER void handle_request(handle request, handle response_out) {
  option_text target;
  incoming_request_path_with_query(request, &target);
  require(target.some);
  text path = after(until(target.value, '?'), 1);
  text query = after(target.value, path.length + 1);
  if (query.length) query = after(query, 1);
  text operation = segment(&path), identifier = segment(&path), key = path;
  text value = all_of(request);
  incoming_request_drop(request);

  answer said;
  result_small opened;
  store_open(identifier.at, identifier.length, &opened);
  if (opened.err) {
    said = failed(opened.error);
  } else {
    size_t mark = arena_used;
    uint64_t delta = query_number(query, TEXT("delta"), 1);
    uint64_t times = query_number(query, TEXT("times"), 0);
    said = perform(operation, opened.bucket, key, value, delta);
    for (uint64_t done = 1; done < times; done++) {
      arena_used = mark;
      said = perform(operation, opened.bucket, key, value, delta);
    }
    if (times && said.status == 200) said.body = TEXT("");
    bucket_drop(opened.bucket);
  }
  outgoing out = respond(response_out, said.status, plain_text());
  write_all(out.stream, said.body);
  finish(out);
}
