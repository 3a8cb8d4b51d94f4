// Sees a process of the host.
#include "../attempt.h"

int main(int c, char **v) {
  char p[64];
  sprintf(p, "/proc/%s/stat", arg(v, "VICTIM", ""));
  return access(p, F_OK) ? 1 : 0;
}
