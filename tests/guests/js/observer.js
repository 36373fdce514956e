// Tells the store "told" of each change: the value that the bucket has then. Makes changes for whoever calls.

import { open } from "wasi:keyvalue/store@0.2.0-draft2";

const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);

export const watcher = {
  onSet(bucket, key, value) {
    const found = text(bucket.get(key));
    if (found !== text(value)) throw new Error("the value is another");
    open("told").set(key, bytes(found));
  },

  onDelete(bucket, key) {
    open("told").set(key, bytes(bucket.exists(key) ? "still there" : "deleted"));
  },
};

export const set = (store, key, value) => open(store).set(key, bytes(value));

// Not a word of JavaScript's own.
export { remove as delete };
const remove = (store, key) => open(store).delete(key);

export const get = (store, key) => text(open(store).get(key) ?? bytes(""));
