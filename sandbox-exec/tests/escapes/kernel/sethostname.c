// Renames the machine.
#include "../attempt.h"

int main(int c, char **v) {
  char b[65] = {0};
  gethostname(b, 64);
  return sethostname(b, strlen(b)) ? 1 : 0;
}
