// The exports of ../rpc.wit. A value arrives as JavaScript has it, and goes back the same.

import { exit as cliExit } from "wasi:cli/exit@0.2.10";
import { subscribeDuration } from "wasi:clocks/monotonic-clock@0.2.10";

export const add = (a, b) => (a + b) >>> 0;

let counted = 0;
export const count = () => (counted += 1);

export const swallow = (_value) => {};

export function divide(dividend, divisor) {
  if (divisor === 0) throw "division by zero";
  return Math.trunc(dividend / divisor);
}

const echo = (value) => value;

export const types = {
  echoBool: echo,
  echoU8: echo,
  echoS8: echo,
  echoU16: echo,
  echoS16: echo,
  echoU32: echo,
  echoS32: echo,
  echoU64: echo,
  echoS64: echo,
  echoF32: echo,
  echoF64: echo,
  echoChar: echo,
  echoColor: echo,
  echoAccess: echo,
  echoMonth: echo,
  echoBits: echo,

  echoString: echo,
  echoBytes: echo,
  echoListBool: echo,
  echoListS8: echo,
  echoListU16: echo,
  echoListS32: echo,
  echoListU64: echo,
  echoListS64: echo,
  echoListF32: echo,
  echoListF64: echo,
  echoListChar: echo,
  echoListString: echo,
  echoListBytes: echo,
  echoListColor: echo,
  echoListAccess: echo,
  echoListPoint: echo,
  echoListShape: echo,
  echoListTuple: echo,
  echoListOption: echo,
  echoOutline: echo,
  echoListResult: echo,
  echoListResultOk: echo,
  echoListResultErr: echo,
  echoListResultBoth: echo,
  echoDeep: echo,

  echoPoint: echo,
  echoLine: echo,
  echoKeywords: echo,
  echoFile: echo,
  echoTuple: echo,
  echoTupleOne: echo,
  echoShape: echo,
  echoOption: echo,
  echoOptionString: echo,
  echoOptionOption: echo,
  echoOptionResult: echo,
  echoResults: echo,
  echoMany: echo,

  gather: (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r) => ({
    a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r,
  }),

  concat: (...parts) => parts.join(""),
};

/** What a function whose WIT result is a `result` does with one: returns the ok, throws the err. */
function settle({ tag, val }) {
  if (tag === "err") throw val;
  return val;
}

export const outcomes = {
  settle,
  settleNone: settle,
  settleOk: settle,
  settleErr: settle,
  settleOption: settle,

  trap() {
    throw new Error("a detail of the guest");
  },

  spin() {
    for (;;);
  },

  allocate() {
    for (const kept = []; ; ) kept.push(new Uint8Array(1 << 20).fill(1));
  },

  exit: (status) => cliExit(status),

  print(output, error) {
    console.log(output);
    console.error(error);
  },

  wait(milliseconds) {
    subscribeDuration(BigInt(milliseconds) * 1_000_000n).block();
  },
};

const rpcTwins = { name: () => "test:rpc", alone: () => "only test:rpc" };
const otherTwins = { name: () => "test:other" };
export { rpcTwins as "test:rpc/twins@1.2.3", otherTwins as "test:other/twins@0.1.0" };
