// Reads the memory of its child.
#include "../attempt.h"

int main(int c, char **v) {
  pid_t p = fork();
  if (!p) {
    sleep(2);
    _exit(0);
  }
  char b[8];
  struct iovec l = {b, 8}, r = {(void *)main, 8};
  int n = process_vm_readv(p, &l, 1, &r, 1, 0);
  kill(p, SIGKILL);
  return n == 8 ? 0 : 1;
}
