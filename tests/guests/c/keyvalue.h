// wasi:keyvalue/store of the first draft, for the guests that use it.
#pragma once

#include "wasi.h"

#define KEYVALUE(interface, name) \
  __attribute__((import_module("wasi:keyvalue/" interface "@0.2.0-draft"), import_name(name))) extern

// error
typedef struct {
  uint8_t which;
  text message;
} error;

enum { NO_SUCH_STORE, ACCESS_DENIED, OTHER };

// result<own<bucket>, error>, result<bool, error> and result<_, error>
typedef struct {
  bool err;
  union {
    handle bucket;
    bool yes;
    error error;
  };
} result_small;

// result<option<list<u8>>, error>
typedef struct {
  bool err;
  union {
    option_text value;
    error error;
  };
} result_value;

KEYVALUE("store", "open") void store_open(const char *, size_t, result_small *);
KEYVALUE("store", "[method]bucket.get") void bucket_get(handle, const char *, size_t, result_value *);
KEYVALUE("store", "[method]bucket.set")
void bucket_set(handle, const char *, size_t, const char *, size_t, result_small *);
KEYVALUE("store", "[method]bucket.delete")
void bucket_delete(handle, const char *, size_t, result_small *);
KEYVALUE("store", "[method]bucket.exists")
void bucket_exists(handle, const char *, size_t, result_small *);
KEYVALUE("store", "[resource-drop]bucket") void bucket_drop(handle);
