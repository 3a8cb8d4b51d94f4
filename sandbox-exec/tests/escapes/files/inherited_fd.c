// Uses a descriptor that the caller left open.
#include "../attempt.h"

int main(int c, char **v) {
  for (int f = 3; f < 256; f++) {
    if (fcntl(f, F_GETFD) >= 0)
      return 0;
  }
  return 1;
}
