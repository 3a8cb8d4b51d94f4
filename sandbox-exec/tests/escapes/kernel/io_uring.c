// Makes a ring.
#include "../attempt.h"

int main(int c, char **v) {
  char p[120] = {0};
  return syscall(SYS_io_uring_setup, 4, p) >= 0 ? 0 : 1;
}
