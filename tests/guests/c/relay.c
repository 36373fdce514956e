// The exports `types` and `outcomes` of ../rpc.wit, which are the imports of the same names.
//
// A lowered import takes the core values that a lifted export takes. Where the result is more than one core value,
// the import writes it to where a last parameter says, and the export returns that address.
#include "wasi.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define FROM(interface, name) __attribute__((import_module(interface), import_name(name))) extern
#define TYPES "test:rpc/types@1.2.3"
#define OUTCOMES "test:rpc/outcomes@1.2.3"

#define NAMED(prefix) NAMED_AT(prefix, __LINE__)
#define NAMED_AT(prefix, line) NAMED_EXPANDED(prefix, line)
#define NAMED_EXPANDED(prefix, line) prefix##_##line

// The instance is asked once, so one place is enough for a result. No result here is larger.
static _Alignas(8) char result[256];

#define UNPACK(...) __VA_ARGS__

// A function whose result is one core value, or none at all: its parameters with their types, and without.
#define RELAY(interface, name, core, parameters, arguments)           \
  FROM(interface, name) core NAMED(imported)(UNPACK parameters);      \
  EXPORT(interface "#" name) core NAMED(exported)(UNPACK parameters) { \
    return NAMED(imported)(UNPACK arguments);                         \
  }

// One whose result is more.
#define RELAY_AT(interface, name, parameters, arguments)                        \
  FROM(interface, name) void NAMED(imported)(UNPACK parameters, void *);        \
  EXPORT(interface "#" name) const void *NAMED(exported)(UNPACK parameters) {   \
    NAMED(imported)(UNPACK arguments, result);                                  \
    return result;                                                              \
  }

#define ECHO(name, core) RELAY(TYPES, "echo-" name, core, (core value), (value))

ECHO("bool", uint32_t)
ECHO("u8", uint32_t)
ECHO("s8", int32_t)
ECHO("u16", uint32_t)
ECHO("s16", int32_t)
ECHO("u32", uint32_t)
ECHO("s32", int32_t)
ECHO("u64", uint64_t)
ECHO("s64", int64_t)
ECHO("f32", float)
ECHO("f64", double)
ECHO("char", uint32_t)
ECHO("color", uint32_t)
ECHO("access", uint32_t)
ECHO("month", uint32_t)
ECHO("bits", uint32_t)
ECHO("tuple-one", uint32_t)

#define ECHO_LIST(name) \
  RELAY_AT(TYPES, "echo-" name, (const void *at, size_t length), (at, length))

ECHO_LIST("string")
ECHO_LIST("bytes")
ECHO_LIST("list-bool")
ECHO_LIST("list-s8")
ECHO_LIST("list-u16")
ECHO_LIST("list-s32")
ECHO_LIST("list-u64")
ECHO_LIST("list-s64")
ECHO_LIST("list-f32")
ECHO_LIST("list-f64")
ECHO_LIST("list-char")
ECHO_LIST("list-string")
ECHO_LIST("list-bytes")
ECHO_LIST("list-color")
ECHO_LIST("list-access")
ECHO_LIST("list-point")
ECHO_LIST("list-shape")
ECHO_LIST("list-tuple")
ECHO_LIST("list-option")
ECHO_LIST("outline")
ECHO_LIST("list-result")
ECHO_LIST("list-result-ok")
ECHO_LIST("list-result-err")
ECHO_LIST("list-result-both")
ECHO_LIST("deep")

RELAY_AT(TYPES, "echo-point", (int32_t x, int32_t y), (x, y))
RELAY_AT(TYPES, "echo-line",
         (int32_t x0, int32_t y0, int32_t x1, int32_t y1, uint32_t some, const char *at,
          size_t length, float width),
         (x0, y0, x1, y1, some, at, length, width))
RELAY_AT(TYPES, "echo-keywords",
         (const char *at, size_t length, uint32_t class, uint32_t from, uint32_t list),
         (at, length, class, from, list))
RELAY_AT(TYPES, "echo-file",
         (const char *a, size_t a_length, const void *b, size_t b_length, const void *c,
          size_t c_length),
         (a, a_length, b, b_length, c, c_length))
RELAY_AT(TYPES, "echo-tuple", (uint32_t first, const char *at, size_t length, double third),
         (first, at, length, third))
RELAY_AT(TYPES, "echo-shape", (uint32_t which, uint64_t bits, size_t length),
         (which, bits, length))
RELAY_AT(TYPES, "echo-option", (uint32_t some, uint32_t value), (some, value))
RELAY_AT(TYPES, "echo-option-string", (uint32_t some, const char *at, size_t length),
         (some, at, length))
RELAY_AT(TYPES, "echo-option-option", (uint32_t some, uint32_t inner, uint32_t value),
         (some, inner, value))
RELAY_AT(TYPES, "echo-option-result", (uint32_t some, uint32_t err, uint32_t error),
         (some, err, error))
RELAY_AT(TYPES, "echo-results",
         (uint32_t none_err, uint32_t ok_err, uint32_t ok, uint32_t err_err, const char *at,
          size_t length, uint32_t both_err, uint64_t bits, size_t both_length),
         (none_err, ok_err, ok, err_err, at, length, both_err, bits, both_length))
RELAY_AT(TYPES, "echo-many", (const void *value), (value))
RELAY_AT(TYPES, "gather", (const void *parameters), (parameters))
RELAY_AT(TYPES, "concat",
         (const char *a, size_t a_length, const char *b, size_t b_length, const char *c,
          size_t c_length, const char *d, size_t d_length),
         (a, a_length, b, b_length, c, c_length, d, d_length))

RELAY_AT(OUTCOMES, "settle", (uint32_t err, uint32_t a, uint32_t b, uint32_t c), (err, a, b, c))
RELAY(OUTCOMES, "settle-none", uint32_t, (uint32_t err), (err))
RELAY_AT(OUTCOMES, "settle-ok", (uint32_t err, uint32_t value), (err, value))
RELAY_AT(OUTCOMES, "settle-err", (uint32_t err, const char *at, size_t length), (err, at, length))
RELAY_AT(OUTCOMES, "settle-option", (uint32_t err, uint32_t some, uint32_t value),
         (err, some, value))
RELAY(OUTCOMES, "trap", void, (void), ())
RELAY(OUTCOMES, "spin", void, (void), ())
RELAY(OUTCOMES, "allocate", void, (void), ())
RELAY(OUTCOMES, "exit", void, (uint32_t status), (status))
RELAY(OUTCOMES, "print", void,
      (const char *output, size_t output_length, const char *error, size_t error_length),
      (output, output_length, error, error_length))
RELAY(OUTCOMES, "wait", void, (uint32_t milliseconds), (milliseconds))
