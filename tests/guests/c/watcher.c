// Is told of changes, and does what a value says by its first letter; makes changes for whoever calls. What it
// was told is in the store "told", if there is one.
#define ARENA (3 * 1024 * 1024)
#include "keyvalue.h"

#define EXPORT(name) __attribute__((export_name(name)))

// result<_, string> and result<string, string>
typedef struct {
  bool err;
  text value;
} result_text;

// What a call came to; the instance is asked once.
static result_text done;

static const result_text *failed(error e) {
  static const text words[] = {TEXT("no-such-store"), TEXT("access-denied")};
  done = (result_text){true, e.which < 2 ? words[e.which] : e.message};
  return &done;
}

static void tell(text key, text value) {
  result_small told;
  store_open("told", 4, &told);
  if (told.err) return;
  handle bucket = told.bucket;
  bucket_set(bucket, key.at, key.length, value.at, value.length, &told);
  require(!told.err);
  bucket_drop(bucket);
}

// "t": trap.
// "s": spin, until it is stopped.
// "w": set the same key to the same value, in the same bucket.
// Anything else: tell the value that the bucket has, by the key.
EXPORT("wasi:keyvalue/watcher@0.2.0-draft#on-set")
void on_set(handle bucket, const char *key, size_t key_length, const char *value, size_t value_length) {
  result_small set;
  result_value got;
  switch (value_length ? value[0] : 0) {
    case 't':
      __builtin_trap();
    case 's':
      for (volatile uint32_t turn = 0;; turn++) continue;
    case 'w':
      bucket_set(bucket, key, key_length, value, value_length, &set);
      break;
    default:
      bucket_get(bucket, key, key_length, &got);
      require(!got.err && got.value.some);
      tell((text){key, key_length}, got.value.value);
  }
  bucket_drop(bucket);
}

EXPORT("wasi:keyvalue/watcher@0.2.0-draft#on-delete")
void on_delete(handle bucket, const char *key, size_t key_length) {
  result_value got;
  bucket_get(bucket, key, key_length, &got);
  tell((text){key, key_length}, got.err || got.value.some ? TEXT("still there") : TEXT("deleted"));
  bucket_drop(bucket);
}

EXPORT("set")
const result_text *set(const char *store, size_t store_length, const char *key, size_t key_length,
                       const char *value, size_t value_length) {
  result_small result;
  store_open(store, store_length, &result);
  if (result.err) return failed(result.error);
  bucket_set(result.bucket, key, key_length, value, value_length, &result);
  return result.err ? failed(result.error) : &done;
}

EXPORT("delete")
const result_text *delete(const char *store, size_t store_length, const char *key, size_t key_length) {
  result_small result;
  store_open(store, store_length, &result);
  if (result.err) return failed(result.error);
  bucket_delete(result.bucket, key, key_length, &result);
  return result.err ? failed(result.error) : &done;
}

EXPORT("get")
const result_text *get(const char *store, size_t store_length, const char *key, size_t key_length) {
  result_small opened;
  result_value got;
  store_open(store, store_length, &opened);
  if (opened.err) return failed(opened.error);
  bucket_get(opened.bucket, key, key_length, &got);
  if (got.err) return failed(got.error);
  if (got.value.some) done.value = got.value.value;
  return &done;
}
