// Leaves more than the limit (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  int f = open("/out/big", O_CREAT | O_WRONLY, 0644);
  char b[65536];
  memset(b, 1, sizeof b);
  for (int i = 0; i < 640; i++)
    if (write(f, b, sizeof b) < 0)
      break;
  return OUTSIDE;
}
