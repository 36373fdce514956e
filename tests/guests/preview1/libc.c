// A C program with its library, which gets from WASI preview 1 what it does not get from the world's
// own interfaces: the environment, clocks, random numbers, files, standard output. It answers with
// what it has found, a line for each.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../c/wasi.h"

static int initialized;

// Runs in `_initialize`, before any request.
__attribute__((constructor)) static void initialize(void) { initialized = 42; }

static const char *first_line(const char *path, char *line, int size) {
  FILE *file = fopen(path, "r");
  if (!file) return strerror(errno);
  const char *read = fgets(line, size, file);
  fclose(file);
  return read ? read : "empty";
}

HANDLER void handle_request(handle request, handle response_out) {
  struct timespec monotonic;
  unsigned char random[16] = {0};
  char *report = malloc(4096), line[80];
  const char *word = getenv("WORD");
  int zeros = 0;

  incoming_request_drop(request);
  printf("from printf %d\n", initialized);
  fflush(stdout);
  fprintf(stderr, "from stderr\n");
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  if (getentropy(random, sizeof random)) zeros = sizeof random;
  for (size_t i = 0; i < sizeof random; i++) zeros += !random[i];
  int length = snprintf(report, 4096,
                        "initialized=%d\nword=%s\ntime=%lld\nticks=%d\nzeros=%d\nfile=%s\nmissing=%s\n",
                        initialized, word ? word : "none", (long long)time(NULL),
                        monotonic.tv_sec > 0 || monotonic.tv_nsec > 0, zeros,
                        first_line("/data/word.txt", line, sizeof line),
                        first_line("/data/none.txt", line, sizeof line));

  outgoing out = respond(response_out, 200, plain_text());
  write_all(out.stream, (text){report, length});
  finish(out);
  free(report);
}
