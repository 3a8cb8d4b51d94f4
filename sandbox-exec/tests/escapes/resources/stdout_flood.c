// Floods standard output (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  char b[65536];
  memset(b, 'x', sizeof b);
  for (int i = 0; i < 2000; i++)
    if (write(1, b, sizeof b) < 0)
      return 1;
  return OUTSIDE;
}
