// Does what each message says, by its first letter; what is sent is sent for whoever calls `send` and `ask`.
#define ARENA (2 * 1024 * 1024)
#include "wasi.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define CONSUMER(name) \
  __attribute__((import_module("wasmcloud:messaging/consumer@0.2.0"), import_name(name))) extern

// broker-message
typedef struct {
  text subject;
  text body;
  option_text reply_to;
} broker_message;

// result<_, string>
typedef struct {
  bool err;
  text error;
} result_text;

// result<broker-message, string>
typedef struct {
  bool err;
  union {
    broker_message message;
    text error;
  };
} result_message;

CONSUMER("publish") void publish(const char *subject, size_t subject_length, const char *body, size_t body_length,
                                 uint32_t some, const char *reply_to, size_t reply_to_length, result_text *result);
CONSUMER("request") void request(const char *subject, size_t subject_length, const char *body, size_t body_length,
                                 uint32_t timeout_ms, result_message *result);

// The instance is asked once, so one place is enough for a result.
static result_text done;
static result_message answer;

// "a": answer with the message itself.
// "e": return what follows as an err.
// "t": trap.
// "s": spin, until it is stopped.
// "f": forward the message without its first letter to the subject "forwarded", with its reply-to.
// "h": hold: request "a" at what follows as a subject, and return when there is an answer, or none in time.
// Anything else: nothing.
EXPORT("wasmcloud:messaging/handler@0.2.0#handle-message")
const result_text *handle_message(const char *subject, size_t subject_length, const char *body, size_t body_length,
                                  uint32_t some, const char *reply_to, size_t reply_to_length) {
  (void)subject, (void)subject_length;
  const char *rest = body + 1;
  size_t left = body_length ? body_length - 1 : 0;
  switch (body_length ? body[0] : 0) {
    case 'a':
      publish(reply_to, reply_to_length, body, body_length, 0, 0, 0, &done);
      break;
    case 'e':
      done = (result_text){true, {rest, left}};
      break;
    case 't':
      __builtin_trap();
    case 's':
      for (volatile uint32_t turn = 0;; turn++) continue;
    case 'f':
      publish("forwarded", 9, rest, left, some, reply_to, reply_to_length, &done);
      break;
    case 'h':
      request(rest, left, "a", 1, 120000, &answer);
      break;
  }
  return &done;
}

EXPORT("send")
const result_text *send(const char *subject, size_t subject_length, const char *body, size_t body_length,
                        uint32_t some, const char *reply_to, size_t reply_to_length) {
  publish(subject, subject_length, body, body_length, some, reply_to, reply_to_length, &done);
  return &done;
}

EXPORT("ask")
const result_text *ask(const char *subject, size_t subject_length, const char *body, size_t body_length,
                       uint32_t timeout_ms) {
  request(subject, subject_length, body, body_length, timeout_ms, &answer);
  done = (result_text){answer.err, answer.err ? answer.error : answer.message.body};
  return &done;
}
