// The canonical ABI of the component model, as far as the examples in C meet it: how WIT's types lie in memory, and what
// functions are called. What does not fit into one core value is written to memory that the caller provides.
// `wit-bindgen c` writes such declarations for any world.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define IMPORT(interface, name) __attribute__((import_module(interface), import_name(name))) extern
#define EXPORT(name) __attribute__((export_name(name)))

// A resource.
typedef uint32_t handle;

// string, list<u8>
typedef struct {
  const char *at;
  size_t length;
} text;

#define TEXT(literal) {literal, sizeof literal - 1}

static inline bool equal(text a, text b) {
  return a.length == b.length && memcmp(a.at, b.at, a.length) == 0;
}

// option<string>
typedef struct {
  bool some;
  text value;
} option_text;

// result<string, string>
typedef struct {
  bool err;
  text value;
} result_text;

// Where the host puts what it hands over.
EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)old_size;
  if (size == 0) return (void *)align;  // any address that is aligned
  void *at = realloc(old, size);
  if (at == NULL) abort();
  return at;
}
