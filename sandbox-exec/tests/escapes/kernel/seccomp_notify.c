// Listens to its own filter.
#include "../attempt.h"

int main(int c, char **v) {
  struct sock_filter f = {6, 0, 0, 0x7fff0000};
  struct sock_fprog p = {1, &f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return syscall(SYS_seccomp, 1, 8, &p) >= 0 ? 0 : 1;
}
