// Ticker: a response without an end, of server-sent events: https://html.spec.whatwg.org/#server-sent-events
#include <stdio.h>
#include <time.h>

#include "http.h"

static const text EVENTS = TEXT("text/event-stream");

// Milliseconds between two events: those of `/?every=100`, a second otherwise, and at least one.
static long every(handle request) {
  option_text target;
  request_target(request, &target);
  long wanted = 1000;
  if (target.some) {
    char *copy = strndup(target.value.at, target.value.length);
    if (copy == NULL) abort();
    char *query = strchr(copy, '?');
    if (query != NULL) sscanf(query, "?every=%5ld", &wanted);
    free(copy);
  }
  return wanted < 1 ? 1 : wanted;
}

HANDLER void handle_request(handle request, handle response_out) {
  long pause = every(request);
  struct timespec wait = {pause / 1000, pause % 1000 * 1000000};
  request_drop(request);
  outgoing out = begin(response_out, 200, EVENTS);
  char event[64];
  for (unsigned long number = 1;; number++) {
    int length = snprintf(event, sizeof event, "id: %lu\ndata: tick %lu\n\n", number, number);
    if (!send(out, (text){event, length})) break;  // the client has gone
    nanosleep(&wait, NULL);  // the gateway does other things meanwhile
  }
  finish(out);
}
