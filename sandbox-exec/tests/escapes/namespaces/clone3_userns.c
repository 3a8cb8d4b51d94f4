// By clone3, whose flags no filter sees.
#include "../attempt.h"

int main(int c, char **v) {
  unsigned long a[11] = {CLONE_NEWUSER};
  a[4] = SIGCHLD;
  long p = syscall(SYS_clone3, a, 88);
  if (!p)
    _exit(0);
  return p > 0 ? 0 : 1;
}
