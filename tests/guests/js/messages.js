// Answers each message with its own subject and body, unless that says "refuse"; sends for whoever calls.

import { publish, request } from "wasmcloud:messaging/consumer@0.2.0";

const bytes = (text) => new TextEncoder().encode(text);
const text = (bytes) => new TextDecoder().decode(bytes);

export const handler = {
  handleMessage({ subject, body, replyTo }) {
    if (text(body) === "refuse") throw "it was refused";
    if (replyTo !== undefined) publish({ subject: replyTo, body: bytes(`${subject}: ${text(body)}`) });
  },
};

export function send(subject, body, replyTo) {
  publish({ subject, body: bytes(body), replyTo });
}

export function ask(subject, body, timeoutMs) {
  return text(request(subject, bytes(body), timeoutMs).body);
}
