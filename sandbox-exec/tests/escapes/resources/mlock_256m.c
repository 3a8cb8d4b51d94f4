// Pins memory.
#include "../attempt.h"

int main(int c, char **v) {
  char *p = mmap(0, 256 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return mlock(p, 256 << 20) ? 1 : 0;
}
