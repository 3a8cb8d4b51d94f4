// Changes the root.
#include "../attempt.h"

int main(int c, char **v) {
  int r = syscall(SYS_pivot_root, ".", ".");
  return r && errno == EPERM ? 1 : 0;
}
