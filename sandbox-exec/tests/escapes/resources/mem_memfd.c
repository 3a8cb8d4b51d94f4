// Takes memory in a memory file.
// quota: memory
#include "../attempt.h"

int main(int c, char **v) {
  int f = memfd_create("x", 8);
  if (f < 0)
    return 1;
  char b[65536];
  memset(b, 1, sizeof b);
  for (int i = 0; i < 4096; i++)
    if (write(f, b, sizeof b) < 0)
      return 1;
  return 0;
}
