// Takes memory in pipes.
// quota: memory
#include "../attempt.h"

int main(int c, char **v) {
  struct rlimit r = {4096, 4096};
  setrlimit(RLIMIT_NOFILE, &r);
  char b[65536];
  memset(b, 1, sizeof b);
  long n = 0;
  for (int i = 0; i < 1500; i++) {
    int p[2];
    if (pipe(p))
      break;
    fcntl(p[1], F_SETFL, O_NONBLOCK);
    fcntl(p[1], F_SETPIPE_SZ, 1 << 20);
    long w;
    while ((w = write(p[1], b, sizeof b)) > 0)
      n += w;
  }
  return n > 90L << 20 ? 0 : 1;
}
