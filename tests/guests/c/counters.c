// The export `api` of ../counters.wit. What stands for a counter is its place in `counters`.
#include "wasi.h"

#define API "test:counters/api@1.0.0"
#define EXPORT(name) __attribute__((export_name(API "#" name)))
#define BUILTIN(name) \
  __attribute__((import_module("[export]" API), import_name(name))) extern

// One that ends with the first of these numbers breaks off, and with the second never does.
enum { MAX = 16384, UNLUCKY = 13, ENDLESS = 14 };

static uint32_t counters[MAX];
static uint32_t made;
static uint32_t live;
static _Alignas(8) struct {
  uint32_t words[4];
} result;

BUILTIN("[resource-new]counter") handle counter_new(uint32_t place);
BUILTIN("[resource-rep]counter") uint32_t counter_rep(handle);
BUILTIN("[resource-drop]counter") void counter_drop(handle);

EXPORT("[dtor]counter") void ended(uint32_t place) {
  if (counters[place] == UNLUCKY) __builtin_trap();
  while (counters[place] == ENDLESS) *(volatile uint32_t *)&live = live;
  counters[place] = 0;
  live--;
}

EXPORT("[constructor]counter") handle make(uint32_t start) {
  if (made == MAX) __builtin_trap();
  counters[made] = start;
  live++;
  return counter_new(made++);
}

EXPORT("[static]counter.open") const void *open(const char *at, size_t length) {
  (void)at;
  result.words[0] = !length;
  result.words[1] = length ? make(length) : (uint32_t)"no name";
  result.words[2] = 7;
  return &result;
}

EXPORT("[method]counter.value") uint32_t value(uint32_t place) { return counters[place]; }
EXPORT("[method]counter.add") uint32_t add(uint32_t place, uint32_t by) {
  return counters[place] += by;
}
EXPORT("[method]counter.beyond") bool beyond(uint32_t place, uint32_t other) {
  return counters[place] > counters[other];
}
EXPORT("[method]counter.fold") void fold(uint32_t place, handle other) {
  counters[place] += counters[counter_rep(other)];
  counter_drop(other);
}
EXPORT("[method]counter.break-off") void break_off(uint32_t place) {
  (void)place;
  __builtin_trap();
}
EXPORT("[method]counter.spin") void spin(uint32_t place) {
  for (;;) *(volatile uint32_t *)&counters[place] += 1;
}

static const void *list_of(uint32_t *words, const handle *at, uint32_t length) {
  words[0] = (uint32_t)at;
  words[1] = length;
  return &result;
}

EXPORT("split") const void *split(handle it, uint32_t parts) {
  uint32_t start = counters[counter_rep(it)];
  counter_drop(it);
  arena_used = 0;
  handle *all = cabi_realloc(0, 0, sizeof *all, parts * sizeof *all);
  for (uint32_t part = 0; part < parts; part++) all[part] = make(start + part);
  return list_of(result.words, all, parts);
}

EXPORT("label") const void *label(bool some, handle it, const char *at, size_t length) {
  result.words[0] = (uint32_t)at;
  result.words[1] = length;
  result.words[2] = some ? it : make(0);
  return &result;
}

enum { NOTHING, ONE, ALL };

EXPORT("unlabel") const void *unlabel(const char *at, size_t length, handle it) {
  (void)at;
  (void)length;
  result.words[0] = ONE;
  result.words[1] = it;
  return &result;
}

EXPORT("same") const void *same(uint32_t which, uint32_t a, uint32_t b) {
  result.words[0] = which;
  result.words[1] = a;
  result.words[2] = b;
  return &result;
}

// A list of borrowed handles holds what stands for the counters: they are of this instance.
EXPORT("sum") uint32_t sum(const uint32_t *places, size_t length) {
  uint32_t total = 0;
  for (size_t each = 0; each < length; each++) total += counters[places[each]];
  arena_used = 0;
  return total;
}

EXPORT("live") uint32_t count(void) { return live; }
