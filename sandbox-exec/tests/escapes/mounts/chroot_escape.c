// Changes the root of a process to climb out of it.
#include "../attempt.h"

int main(int c, char **v) {
  mkdir("/tmp/ms-c", 0700);
  int r = chroot("/tmp/ms-c");
  if (!r)
    chroot(".");
  rmdir("/tmp/ms-c");
  return r ? 1 : 0;
}
