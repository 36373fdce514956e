// Catalog: functions with records, lists and options, which are called with JSON, and by a typed client.
#include "abi.h"

// list<string>
typedef struct {
  const text *at;
  size_t length;
} texts;

typedef struct {
  text sku, name;
  uint32_t cents;
  texts tags;
} product;

typedef struct {
  bool some;
  product value;
} option_product;

typedef struct {
  const product *at;
  size_t length;
} products;

static const text TEA[] = {TEXT("drink"), TEXT("hot")}, COLA[] = {TEXT("drink")}, CAKE[] = {TEXT("food")};
static const product ALL[] = {
  {TEXT("t-1"), TEXT("Tea"), 250, {TEA, 2}},
  {TEXT("c-1"), TEXT("Cola"), 300, {COLA, 1}},
  {TEXT("k-1"), TEXT("Cake"), 420, {CAKE, 1}},
};
enum { COUNT = sizeof ALL / sizeof *ALL };

EXPORT("example:catalog/products#get")
const option_product *get(const char *at, size_t length) {
  static option_product found;
  for (size_t i = 0; i < COUNT; i++) {
    if (equal(ALL[i].sku, (text){at, length})) found = (option_product){true, ALL[i]};
  }
  return &found;
}

EXPORT("example:catalog/products#tagged")
const products *tagged(const char *at, size_t length) {
  static product some[COUNT];
  static products found = {some, 0};
  for (size_t i = 0; i < COUNT; i++) {
    for (size_t tag = 0; tag < ALL[i].tags.length; tag++) {
      if (equal(ALL[i].tags.at[tag], (text){at, length})) some[found.length++] = ALL[i];
    }
  }
  return &found;
}
