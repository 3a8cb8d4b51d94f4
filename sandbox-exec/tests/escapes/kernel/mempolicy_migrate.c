// Moves memory between nodes.
#include "../attempt.h"

int main(int c, char **v) {
  unsigned long m = 1;
  return syscall(SYS_migrate_pages, 0, 64, &m, &m) < 0 && errno == EPERM ? 1 : 0;
}
