// Pastes into a console.
#include "../attempt.h"

int main(int c, char **v) {
  char b = 3;
  for (int i = 0; i < 3; i++)
    if (!ioctl(i, 0x541c, &b) || errno != EPERM)
      return 0;
  return 1;
}
