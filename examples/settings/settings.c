// Settings: values and secrets that the operator gives, and the component asks for by name.
#include <stdio.h>

#include "abi.h"

#define CONFIG "wasi:config/store@0.2.0-rc.1"
#define SECRETS "wasmcloud:secrets/store@0.1.0-draft"
#define REVEAL "wasmcloud:secrets/reveal@0.1.0-draft"

// result<option<string>, error>
typedef struct {
  bool err;
  union {
    option_text found;
    struct {
      uint8_t which;
      text message;
    } error;
  };
} result_value;

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

// secret-value
typedef struct {
  bool bytes;
  text value;
} secret_value;

IMPORT(CONFIG, "get") void config_get(const char *, size_t, result_value *);
IMPORT(SECRETS, "get") void secrets_get(const char *, size_t, result_secret *);
IMPORT(SECRETS, "[resource-drop]secret") void secret_drop(handle);
IMPORT(REVEAL, "reveal") void reveal(handle, secret_value *);

static const text GREETING = TEXT("greeting"), PASSWORD = TEXT("password"), HELLO = TEXT("Hello");

// Whether somebody knows the secret `password`, in a time that does not tell how much of it.
static bool knows(text guess) {
  result_secret got;
  secret_value found;
  secrets_get(PASSWORD.at, PASSWORD.length, &got);
  if (got.err) return false;
  reveal(got.secret, &found);
  secret_drop(got.secret);
  unsigned char differ = guess.length != found.value.length;
  for (size_t i = 0; i < guess.length && i < found.value.length; i++) differ |= guess.at[i] ^ found.value.at[i];
  return !differ;
}

EXPORT("greet")
const result_text *greet(const char *name, size_t name_length, const char *guess, size_t guess_length) {
  static const result_text WRONG = {true, TEXT("that is not the password")};
  static result_text result;
  if (!knows((text){guess, guess_length})) return &WRONG;
  result_value got;
  config_get(GREETING.at, GREETING.length, &got);
  text greeting = !got.err && got.found.some ? got.found.value : HELLO;
  char *line = NULL;
  int length = asprintf(&line, "%.*s, %.*s!", (int)greeting.length, greeting.at, (int)name_length, name);
  if (length < 0) abort();
  result = (result_text){false, {line, length}};
  return &result;
}
