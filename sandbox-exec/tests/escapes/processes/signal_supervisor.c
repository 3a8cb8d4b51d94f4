// Stops its parent.
// control: harm
#include "../attempt.h"

int main(int c, char **v) {
  kill(getppid(), SIGSTOP);
  usleep(50000);
  char p[64], b[512] = {0};
  sprintf(p, "/proc/%d/stat", getppid());
  int f = open(p, O_RDONLY);
  if (f < 0)
    return 1;
  read(f, b, 511);
  return strstr(b, ") T") ? 0 : 1;
}
