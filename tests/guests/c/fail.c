// Every way to behave badly that a host must survive, chosen by the path of the request. The routes
// are listed in `route` at the end; numbers in the query, such as ?ms=20, change the defaults.
#include "wasi.h"

// The cases of wasi:http/types.error-code, in their order: a case's number is its place here.
static const text ERROR_CODES[] = {
    TEXT("DNS-timeout"),
    TEXT("DNS-error"),
    TEXT("destination-not-found"),
    TEXT("destination-unavailable"),
    TEXT("destination-IP-prohibited"),
    TEXT("destination-IP-unroutable"),
    TEXT("connection-refused"),
    TEXT("connection-terminated"),
    TEXT("connection-timeout"),
    TEXT("connection-read-timeout"),
    TEXT("connection-write-timeout"),
    TEXT("connection-limit-reached"),
    TEXT("TLS-protocol-error"),
    TEXT("TLS-certificate-error"),
    TEXT("TLS-alert-received"),
    TEXT("HTTP-request-denied"),
    TEXT("HTTP-request-length-required"),
    TEXT("HTTP-request-body-size"),
    TEXT("HTTP-request-method-invalid"),
    TEXT("HTTP-request-URI-invalid"),
    TEXT("HTTP-request-URI-too-long"),
    TEXT("HTTP-request-header-section-size"),
    TEXT("HTTP-request-header-size"),
    TEXT("HTTP-request-trailer-section-size"),
    TEXT("HTTP-request-trailer-size"),
    TEXT("HTTP-response-incomplete"),
    TEXT("HTTP-response-header-section-size"),
    TEXT("HTTP-response-header-size"),
    TEXT("HTTP-response-body-size"),
    TEXT("HTTP-response-trailer-section-size"),
    TEXT("HTTP-response-trailer-size"),
    TEXT("HTTP-response-transfer-coding"),
    TEXT("HTTP-response-content-coding"),
    TEXT("HTTP-response-timeout"),
    TEXT("HTTP-upgrade-failed"),
    TEXT("HTTP-protocol-error"),
    TEXT("loop-detected"),
    TEXT("configuration-error"),
    TEXT("internal-error"),
};
static const uint32_t INTERNAL_ERROR = sizeof ERROR_CODES / sizeof *ERROR_CODES - 1;

enum { PAGE = 64 * 1024 };

static outgoing ok(handle response_out) { return respond(response_out, 200, plain_text()); }

static void answer(handle response_out, uint32_t status, text message) {
  outgoing out = respond(response_out, status, plain_text());
  write_all(out.stream, message);
  finish(out);
}

static void print(handle stream, text line) {
  result_stream written;
  output_stream_blocking_write_and_flush(stream, line.at, line.length, &written);
  require(!written.err);
  output_stream_drop(stream);
}

static _Noreturn void spin(void) {
  for (;;) __asm__ volatile("");
}

// Computes, so many rounds of one addition and a jump.
static void compute(uint64_t rounds) {
  while (rounds--) __asm__ volatile("" : "+r"(rounds));
}

static void out_of_bounds(void) {
  *(volatile char *)(__builtin_wasm_memory_size(0) * PAGE) = 1;
}

// Deeper than any stack is. The barrier keeps the compiler from making a loop of it.
static __attribute__((noinline)) uint32_t recurse(uint32_t depth) {
  uint32_t deeper = depth == UINT32_MAX ? 0 : recurse(depth + 1);
  __asm__ volatile("" : "+r"(deeper));
  return deeper + depth;
}

// Sets an error; all payloads are none, except that an internal-error has a message.
static void set_error(handle response_out, text name) {
  static const text message = TEXT("a detail of the guest");
  for (uint32_t code = 0; code <= INTERNAL_ERROR; code++) {
    if (!equals(name, ERROR_CODES[code])) continue;
    if (code == INTERNAL_ERROR)
      response_outparam_set(response_out, true, code, 1, (uintptr_t)message.at, message.length, 0,
                            0, 0);
    else
      response_outparam_set(response_out, true, code, 0, 0, 0, 0, 0, 0);
    return;
  }
  answer(response_out, 404, TEXT("no such error-code\n"));
}

// Takes memory and writes to every page of it; traps when it is refused a page.
static void allocate(uint64_t pages) {
  while (pages--) {
    size_t page = __builtin_wasm_memory_grow(0, 1);
    require(page != SIZE_MAX);
    *(volatile char *)(page * PAGE) = 1;
  }
}

// Makes resources and never drops them, among them timers that are far from due.
static void leak(uint64_t count) {
  static const uint64_t hour = 3600000000000;
  while (count--) {
    fields_new();
    subscribe_duration(hour);
  }
}

// Writes bytes as fast as it may.
static void flood(handle stream, uint64_t bytes) {
  static const char zeroes[64 * 1024];
  while (bytes) {
    size_t count = bytes < sizeof zeroes ? bytes : sizeof zeroes;
    write_all(stream, (text){zeroes, count});
    bytes -= count;
  }
}

// Ends while a client that does not read has most of the response to come: what was permitted before the response was
// set may be written after it, and is more than the host and its kernel hold otherwise.
static void burst(handle response_out) {
  static const char zeroes[1024 * 1024];
  handle response = outgoing_response_new(plain_text());
  result_handle body;
  outgoing_response_body(response, &body);
  outgoing out = writing(body);
  require(write_permit(out.stream) == sizeof zeroes);
  response_outparam_set(response_out, false, response, 0, 0, 0, 0, 0, 0);
  result_stream written;
  output_stream_write(out.stream, zeroes, sizeof zeroes, &written);
  require(!written.err);
  write_all(out.stream, (text){zeroes, 1});
  finish(out);
}

// Waits for the end of the body of the request: so a client says when, having seen what it wanted.
static void wait_for_client(handle request) {
  incoming in = consume(request);
  size_t mark = arena_used;
  for (text piece; next_piece(in, PAGE, &piece);) arena_used = mark;
  incoming_drop(in);
}

static void slow(handle stream, uint64_t count, uint64_t ms) {
  for (uint64_t i = 0; i < count; i++) {
    if (i) sleep_ms(ms);
    write_all(stream, TEXT("chunk\n"));
  }
}

static handle many_fields(uint64_t count, uint64_t bytes) {
  static char value[PAGE];
  require(bytes <= sizeof value);
  for (size_t i = 0; i < bytes; i++) value[i] = 'v';
  handle fields = plain_text();
  for (uint64_t i = 0; i < count; i++) append(fields, TEXT("x-many"), (text){value, bytes});
  return fields;
}

static void route(handle request, text path, text query, handle response_out) {
  outgoing out;

  // Before the response.
  if (equals(path, TEXT("/trap"))) __builtin_trap();
  if (equals(path, TEXT("/recurse"))) recurse(0);
  if (equals(path, TEXT("/out-of-bounds"))) out_of_bounds();
  if (equals(path, TEXT("/spin"))) spin();
  if (equals(path, TEXT("/exit"))) cli_exit(query_number(query, TEXT("code"), 0) != 0);
  if (equals(path, TEXT("/noset"))) return;
  if (starts_with(path, TEXT("/seterr/"))) return set_error(response_out, after(path, 8));
  if (equals(path, TEXT("/alloc"))) {  // ?mib=: this much, else without end
    allocate(query_number(query, TEXT("mib"), UINT64_MAX / 16) * 16);
    return answer(response_out, 200, TEXT("allocated\n"));
  }
  if (equals(path, TEXT("/leak"))) {  // ?n=
    leak(query_number(query, TEXT("n"), 1000));
    return answer(response_out, 200, TEXT("leaked\n"));
  }
  if (equals(path, TEXT("/sleep"))) {  // ?ms=
    sleep_ms(query_number(query, TEXT("ms"), 500));
    return answer(response_out, 200, TEXT("slept\n"));
  }
  if (equals(path, TEXT("/compute"))) {  // ?rounds=
    compute(query_number(query, TEXT("rounds"), 1000000));
    return answer(response_out, 200, TEXT("computed\n"));
  }
  if (equals(path, TEXT("/stdout"))) {  // one write of two lines, one of a line without an end
    print(get_stdout(), TEXT("a line on stdout\nand another\n"));
    print(get_stderr(), TEXT("a line on stderr, without an end"));
    return answer(response_out, 200, TEXT("printed\n"));
  }

  // The head itself.
  if (equals(path, TEXT("/status")))  // ?code=
    return answer(response_out, query_number(query, TEXT("code"), 200), TEXT("status\n"));
  if (equals(path, TEXT("/headers"))) {  // ?n=&bytes=
    uint64_t count = query_number(query, TEXT("n"), 100);
    uint64_t bytes = query_number(query, TEXT("bytes"), 10);
    return finish(respond(response_out, 200, many_fields(count, bytes)));
  }

  // After the head and a chunk, once the client has ended its request.
  if (equals(path, TEXT("/trap-after"))) {
    out = ok(response_out);
    write_all(out.stream, TEXT("before the trap\n"));
    wait_for_client(request);
    __builtin_trap();
  }
  if (equals(path, TEXT("/spin-after"))) {
    out = ok(response_out);
    write_all(out.stream, TEXT("before the loop\n"));
    wait_for_client(request);
    spin();
  }
  if (equals(path, TEXT("/drop-after"))) {  // drops the body without finishing it
    out = ok(response_out);
    write_all(out.stream, TEXT("before the drop\n"));
    wait_for_client(request);
    output_stream_drop(out.stream);
    return outgoing_body_drop(out.body);
  }

  // During the body.
  if (equals(path, TEXT("/slow"))) {  // ?n=&ms=
    out = ok(response_out);
    slow(out.stream, query_number(query, TEXT("n"), 5), query_number(query, TEXT("ms"), 20));
    return finish(out);
  }
  if (equals(path, TEXT("/flood"))) {  // ?mib=
    out = ok(response_out);
    flood(out.stream, query_number(query, TEXT("mib"), 64) << 20);
    return finish(out);
  }

  if (equals(path, TEXT("/burst"))) return burst(response_out);

  // After the whole response.
  if (equals(path, TEXT("/sleep-after"))) {  // ?ms=
    answer(response_out, 200, TEXT("answered\n"));
    sleep_ms(query_number(query, TEXT("ms"), 500));
    return print(get_stdout(), TEXT("worked on after the response\n"));
  }
  if (equals(path, TEXT("/trap-last"))) {
    answer(response_out, 200, TEXT("answered\n"));
    __builtin_trap();
  }

  answer(response_out, 404, TEXT("no such route\n"));
}

HANDLER void handle_request(handle request, handle response_out) {
  option_text target;
  incoming_request_path_with_query(request, &target);
  require(target.some);
  text path = until(target.value, '?');
  text query = after(target.value, path.length);
  if (query.length) query = after(query, 1);
  route(request, path, query, response_out);
}
