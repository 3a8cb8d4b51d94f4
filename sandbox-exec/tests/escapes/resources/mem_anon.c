// Takes more memory than its quota.
// quota: memory
#include "../attempt.h"

int main(int c, char **v) {
  char *p = mmap(0, 256 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED)
    return 1;
  memset(p, 1, 256 << 20);
  return 0;
}
