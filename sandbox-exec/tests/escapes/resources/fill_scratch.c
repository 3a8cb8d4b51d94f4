// Writes more to /tmp than its size.
#include "../attempt.h"

int main(int c, char **v) {
  int f = open("/tmp/fill", O_CREAT | O_WRONLY, 0600);
  char b[65536];
  memset(b, 1, sizeof b);
  long n = 0;
  for (int i = 0; i < 3200; i++) {
    long r = write(f, b, sizeof b);
    if (r <= 0)
      break;
    n += r;
  }
  unlink("/tmp/fill");
  return n > 100 << 20 ? 0 : 1;
}
