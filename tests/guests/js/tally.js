// The export `drive` of ../counters.wit, whose counters are those of the import `api`.

import { Counter, label, live, same, split, sum, unlabel } from "test:counters/api@1.0.0";
import { subscribeDuration } from "wasi:clocks/monotonic-clock@0.2.10";

const held = new Map();

function hold(from, counters) {
  counters.forEach((counter, at) => held.set(from + at, counter));
  return counters.length;
}

function some(from, count) {
  return Array.from({ length: count }, (_, at) => held.get(from + at));
}

const OPS = {
  make: (a, b) => void held.set(a, new Counter(b)),
  open(a, b) {
    try {
      held.set(a, Counter.open("counters".slice(0, b)));
    } catch {
      return 0;
    }
    return 1;
  },
  value: (a) => held.get(a).value(),
  add: (a, b) => held.get(a).add(b),
  beyond: (a, b) => Number(held.get(a).beyond(held.get(b))),
  fold: (a, b) => held.get(a).fold(held.get(b)),
  "break-off": (a) => held.get(a).breakOff(),
  spin: (a) => held.get(a).spin(),
  drop: (a) => held.get(a)[Symbol.dispose](),
  split: (a, b) => hold(a, split(held.get(a), b)),
  label(a) {
    const labelled = label(held.get(a), "label");
    const { tag, val } = unlabel(labelled);
    if (tag !== "one") throw new Error(tag);
    held.set(a, val);
    return labelled.label.length;
  },
  same: (a, b) => hold(a, same({ tag: "all", val: some(a, b) }).val),
  sum: (a, b) => sum(some(a, b)),
  live,
  wait: (a) => subscribeDuration(BigInt(a) * 1_000_000n).block(),
  trap() {
    throw new Error("trap");
  },
};

export const drive = {
  run: (steps) => steps.map(({ op, a, b }) => OPS[op](a, b) ?? 0),
};
