// Writes into /usr.
#include "../attempt.h"

int main(int c, char **v) {
  int r = writes("/usr/modelscan-attempt");
  unlink("/usr/modelscan-attempt");
  return r;
}
