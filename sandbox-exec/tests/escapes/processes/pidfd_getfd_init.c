// Takes a descriptor from the first process.
#include "../attempt.h"

int main(int c, char **v) {
  int p = syscall(SYS_pidfd_open, getppid(), 0);
  return syscall(SYS_pidfd_getfd, p, 1, 0) >= 0 ? 0 : 1;
}
