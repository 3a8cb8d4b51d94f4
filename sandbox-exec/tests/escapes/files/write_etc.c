// Writes into /etc.
#include "../attempt.h"

int main(int c, char **v) {
  int r = writes("/etc/modelscan-attempt");
  unlink("/etc/modelscan-attempt");
  return r;
}
