// The exports of ../rpc.wit, in the canonical ABI.
//
// Parameters arrive flattened: a record as its fields, a variant as the number of its case and then as
// many core values as its widest case has, each of a type that can hold those of all cases; or, if that
// makes more than sixteen, as the address of where they are in memory. A result that is more than one
// core value is the address of where it is in memory. There each type is laid out as C lays out its
// like, so an echo stores what it was given in a struct of the same shape. Strings and lists are an
// address and a length in both forms, whatever the elements are.
#include "wasi.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define TYPES "test:rpc/types@1.2.3#"
#define OUTCOMES "test:rpc/outcomes@1.2.3#"

// The instance is asked once, so one place is enough for a result.
#define RETURN(type, ...)         \
  do {                            \
    static type result;           \
    result = (type){__VA_ARGS__}; \
    return &result;               \
  } while (0)

// At the root

EXPORT("add") uint32_t add(uint32_t a, uint32_t b) { return a + b; }

EXPORT("count") uint32_t count(void) {
  static uint32_t counted;
  return ++counted;
}

EXPORT("swallow") void swallow(const char *at, size_t length) { (void)at, (void)length; }

// result<u32, string>
typedef struct {
  bool err;
  union {
    uint32_t value;
    text error;
  };
} result_u32_text;

EXPORT("divide") const result_u32_text *divide(uint32_t dividend, uint32_t divisor) {
  if (divisor == 0) RETURN(result_u32_text, .err = true, .error = TEXT("division by zero"));
  RETURN(result_u32_text, .value = dividend / divisor);
}

// Types that are one core value

#define ECHO(name, core) \
  EXPORT(TYPES "echo-" name) core ANONYMOUS(core value) { return value; }

// A name for a function that only has one outside of C.
#define ANONYMOUS ANONYMOUS_AT(__LINE__)
#define ANONYMOUS_AT(line) ANONYMOUS_EXPANDED(line)
#define ANONYMOUS_EXPANDED(line) anonymous_##line

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

// Strings and lists

typedef struct {
  const void *at;
  size_t length;
} list;

#define ECHO_LIST(name)                                                             \
  EXPORT(TYPES "echo-" name) const list *ANONYMOUS(const void *at, size_t length) { \
    RETURN(list, at, length);                                                       \
  }

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

// Records and tuples

typedef struct {
  int32_t x, y;
} point;

typedef struct {
  point start, end;
  option_text label;
  float width;
} line;

typedef struct {
  text type;
  uint8_t class;
  bool from;
  uint32_t list;
} keywords;

typedef struct {
  text name;
  list content, chunks;
} file;

// tuple<u8, string, f64>
typedef struct {
  uint8_t first;
  text second;
  double third;
} tuple;

EXPORT(TYPES "echo-point") const point *echo_point(int32_t x, int32_t y) { RETURN(point, x, y); }

EXPORT(TYPES "echo-line")
const line *echo_line(int32_t x0, int32_t y0, int32_t x1, int32_t y1, bool some, const char *at,
                      size_t length, float width) {
  RETURN(line, {x0, y0}, {x1, y1}, {some, {at, length}}, width);
}

EXPORT(TYPES "echo-keywords")
const keywords *echo_keywords(const char *at, size_t length, uint32_t class, bool from,
                              uint32_t list) {
  RETURN(keywords, {at, length}, class, from, list);
}

EXPORT(TYPES "echo-file")
const file *echo_file(const char *name, size_t name_length, const void *content,
                      size_t content_length, const void *chunks, size_t chunks_length) {
  RETURN(file, {name, name_length}, {content, content_length}, {chunks, chunks_length});
}

EXPORT(TYPES "echo-tuple")
const tuple *echo_tuple(uint32_t first, const char *at, size_t length, double third) {
  RETURN(tuple, first, {at, length}, third);
}

// Variants, options and results

enum { CIRCLE = 1 };

typedef struct {
  uint8_t which;
  union {
    uint64_t radius;
    list other;
  };
} shape;

typedef struct {
  bool some;
  uint32_t value;
} option_u32;

typedef struct {
  bool some;
  option_u32 value;
} option_option_u32;

// result<_, u8>
typedef struct {
  bool err;
  uint8_t error;
} result_u8;

typedef struct {
  bool some;
  result_u8 value;
} option_result;

// result<u32>
typedef struct {
  bool err;
  uint32_t value;
} result_u32;

// result<_, string>
typedef struct {
  bool err;
  text error;
} result_text;

// result<u64, string>
typedef struct {
  bool err;
  union {
    uint64_t value;
    text error;
  };
} result_u64_text;

typedef struct {
  bool none_err;
  result_u32 ok;
  result_text err;
  result_u64_text both;
} results;

// A radius may be where the address of a label or path is, so both arrive as 64 bits.
EXPORT(TYPES "echo-shape")
const shape *echo_shape(uint32_t which, uint64_t bits, size_t length) {
  if (which == CIRCLE) RETURN(shape, which, .radius = bits);
  RETURN(shape, which, .other = {(const void *)(size_t)bits, length});
}

EXPORT(TYPES "echo-option") const option_u32 *echo_option(bool some, uint32_t value) {
  RETURN(option_u32, some, value);
}

EXPORT(TYPES "echo-option-string")
const option_text *echo_option_string(bool some, const char *at, size_t length) {
  RETURN(option_text, some, {at, length});
}

EXPORT(TYPES "echo-option-option")
const option_option_u32 *echo_option_option(bool some, bool inner, uint32_t value) {
  RETURN(option_option_u32, some, {inner, value});
}

EXPORT(TYPES "echo-option-result")
const option_result *echo_option_result(bool some, bool err, uint32_t error) {
  RETURN(option_result, some, {err, error});
}

EXPORT(TYPES "echo-results")
const results *echo_results(bool none_err, bool ok_err, uint32_t ok, bool err_err, const char *at,
                            size_t length, bool both_err, uint64_t bits, size_t both_length) {
  result_u64_text both = {both_err, .value = bits};
  if (both_err) both.error = (text){(const char *)(size_t)bits, both_length};
  RETURN(results, none_err, {ok_err, ok}, {err_err, {at, length}}, both);
}

// More than sixteen core values: the address of the record is all that there is to give back, and
// parameters are laid out as the fields of a record.

EXPORT(TYPES "echo-many") const void *echo_many(const void *value) { return value; }
EXPORT(TYPES "gather") const void *gather(const void *parameters) { return parameters; }

EXPORT(TYPES "concat")
const text *concat(const char *a, size_t a_length, const char *b, size_t b_length, const char *c,
                   size_t c_length, const char *d, size_t d_length) {
  const text parts[] = {{a, a_length}, {b, b_length}, {c, c_length}, {d, d_length}};
  size_t length = 0;
  for (size_t i = 0; i < 4; i++) length += parts[i].length;
  char *joined = cabi_realloc(NULL, 0, 1, length);
  char *end = joined;
  for (size_t i = 0; i < 4; i++) {
    __builtin_memcpy(end, parts[i].at, parts[i].length);
    end += parts[i].length;
  }
  RETURN(text, joined, length);
}

// Outcomes

enum { NOT_FOUND, INVALID, MISPLACED };

// variant failure
typedef struct {
  uint8_t which;
  union {
    text invalid;
    point misplaced;
  };
} failure;

// result<string, failure>
typedef struct {
  bool err;
  union {
    text value;
    failure error;
  };
} result_text_failure;

EXPORT(OUTCOMES "settle")
const result_text_failure *settle(bool err, uint32_t a, uint32_t b, uint32_t c) {
  if (!err) RETURN(result_text_failure, .value = {(const char *)a, b});
  switch (a) {
    case INVALID:
      RETURN(result_text_failure, true, .error = {a, .invalid = {(const char *)b, c}});
    case MISPLACED:
      RETURN(result_text_failure, true, .error = {a, .misplaced = {b, c}});
    default:
      RETURN(result_text_failure, true, .error = {.which = a});
  }
}

EXPORT(OUTCOMES "settle-none") bool settle_none(bool err) { return err; }

EXPORT(OUTCOMES "settle-ok") const result_u32 *settle_ok(bool err, uint32_t value) {
  RETURN(result_u32, err, value);
}

EXPORT(OUTCOMES "settle-err")
const result_text *settle_err(bool err, const char *at, size_t length) {
  RETURN(result_text, err, {at, length});
}

// result<option<u32>, option<u32>>
typedef struct {
  bool err;
  option_u32 value;
} result_option;

EXPORT(OUTCOMES "settle-option")
const result_option *settle_option(bool err, bool some, uint32_t value) {
  RETURN(result_option, err, {some, value});
}

EXPORT(OUTCOMES "trap") void trap(void) { __builtin_trap(); }

EXPORT(OUTCOMES "spin") void spin(void) {
  for (volatile int forever = 1; forever;) {
  }
}

EXPORT(OUTCOMES "allocate") void allocate(void) {
  const size_t pages = 16, page_size = 64 << 10;
  for (;;) {
    size_t end = __builtin_wasm_memory_grow(0, pages);
    require(end != (size_t)-1);
    __builtin_memset((void *)(end * page_size), 1, pages * page_size);
  }
}

EXPORT(OUTCOMES "exit") void exit_with(bool err) { cli_exit(err); }

static void print_line(handle stream, text line) {
  write_all(stream, line);
  write_all(stream, TEXT("\n"));
  output_stream_drop(stream);
}

EXPORT(OUTCOMES "print")
void print(const char *output, size_t output_length, const char *error, size_t error_length) {
  print_line(get_stdout(), (text){output, output_length});
  print_line(get_stderr(), (text){error, error_length});
}

EXPORT(OUTCOMES "wait") void wait(uint32_t milliseconds) { sleep_ms(milliseconds); }

// Twins

EXPORT("test:rpc/twins@1.2.3#name") const text *rpc_name(void) { RETURN(text, "test:rpc", 8); }
EXPORT("test:rpc/twins@1.2.3#alone") const text *rpc_alone(void) {
  RETURN(text, "only test:rpc", 13);
}
EXPORT("test:other/twins@0.1.0#name") const text *other_name(void) {
  RETURN(text, "test:other", 10);
}
