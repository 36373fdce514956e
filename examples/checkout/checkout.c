// Checkout: adds up prices that somebody else knows, by the interface `pricing`, whoever provides it.
#include "abi.h"

// tuple<string, u32>
typedef struct {
  text sku;
  uint32_t count;
} item;

// result<u32, string>
typedef struct {
  bool err;
  union {
    uint32_t cents;
    text why;
  };
} result_cents;

IMPORT("example:checkout/pricing", "price") void price(const char *sku, size_t, result_cents *);

EXPORT("total")
const result_cents *total(const item *items, size_t length) {
  static result_cents sum;
  for (size_t i = 0; i < length; i++) {
    result_cents one;
    price(items[i].sku.at, items[i].sku.length, &one);
    if (one.err) {
      sum = one;
      break;
    }
    sum.cents += one.cents * items[i].count;
  }
  return &sum;
}
