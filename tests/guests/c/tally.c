// The export `drive` of ../counters.wit, whose counters are those of the import `api`.
#include "wasi.h"

#define API "test:counters/api@1.0.0"
#define FROM(name) __attribute__((import_module(API), import_name(name))) extern

enum { MAX = 16384 };
enum op { MAKE, OPEN, VALUE, ADD, BEYOND, FOLD, BREAK_OFF, SPIN, DROP, SPLIT, LABEL, SAME, SUM, LIVE, WAIT, TRAP };

typedef struct {
  uint8_t op;
  uint32_t a;
  uint32_t b;
} step;

typedef struct {
  text label;
  handle it;
} labelled;

typedef struct {
  uint8_t which;
  union {
    handle one;
    indexes all;
  };
} choice;

FROM("[constructor]counter") handle counter_make(uint32_t start);
FROM("[static]counter.open") void counter_open(const char *, size_t, result_handle *);
FROM("[method]counter.value") uint32_t counter_value(handle);
FROM("[method]counter.add") uint32_t counter_add(handle, uint32_t by);
FROM("[method]counter.beyond") uint32_t counter_beyond(handle, handle);
FROM("[method]counter.fold") void counter_fold(handle, handle);
FROM("[method]counter.break-off") void counter_break_off(handle);
FROM("[method]counter.spin") void counter_spin(handle);
FROM("[resource-drop]counter") void counter_drop(handle);
FROM("split") void split(handle, uint32_t parts, indexes *);
FROM("label") void label(uint32_t some, handle, const char *, size_t, labelled *);
FROM("unlabel") void unlabel(const char *, size_t, handle, choice *);
FROM("same") void same(uint32_t which, uint32_t, uint32_t, choice *);
FROM("sum") uint32_t sum(const handle *, size_t);
FROM("live") uint32_t live(void);

static handle held[MAX];
static uint32_t results[256];
static indexes returned;

static void hold(uint32_t from, indexes handles) {
  for (size_t each = 0; each < handles.length; each++) held[from + each] = handles.at[each];
}

static uint32_t done(step it) {
  handle a = it.a < MAX ? held[it.a] : 0;
  struct {
    result_handle opened;
    text why;
  } outcome;
  union {
    labelled labelled;
    choice choice;
    indexes parts;
  } given;
  switch (it.op) {
    case MAKE: return held[it.a] = counter_make(it.b), 0;
    case OPEN:
      counter_open("counters", it.b, &outcome.opened);
      if (!outcome.opened.err) held[it.a] = outcome.opened.value;
      return !outcome.opened.err;
    case VALUE: return counter_value(a);
    case ADD: return counter_add(a, it.b);
    case BEYOND: return counter_beyond(a, held[it.b]);
    case FOLD: return counter_fold(a, held[it.b]), 0;
    case BREAK_OFF: return counter_break_off(a), 0;
    case SPIN: return counter_spin(a), 0;
    case DROP: return counter_drop(a), 0;
    case SPLIT:
      split(a, it.b, &given.parts);
      hold(it.a, given.parts);
      return given.parts.length;
    case LABEL:
      label(1, a, "label", 5, &given.labelled);
      text again = given.labelled.label;
      unlabel(again.at, again.length, given.labelled.it, &given.choice);
      held[it.a] = given.choice.one;
      return again.length;
    case SAME:
      same(2, (uint32_t)&held[it.a], it.b, &given.choice);
      hold(it.a, given.choice.all);
      return given.choice.all.length;
    case SUM: return sum(&held[it.a], it.b);
    case LIVE: return live();
    case WAIT: return sleep_ms(it.a), 0;
    default: __builtin_trap();
  }
}

__attribute__((export_name("test:counters/drive@1.0.0#run"))) const indexes *run(
    const step *steps, size_t length) {
  size_t mark = arena_used;
  for (size_t each = 0; each < length; each++) {
    results[each] = done(steps[each]);
    arena_used = mark;
  }
  returned = (indexes){results, length};
  return &returned;
}
