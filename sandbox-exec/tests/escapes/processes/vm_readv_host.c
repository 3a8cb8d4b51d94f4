// Reads the memory of a process of the host.
#include "../attempt.h"

int main(int c, char **v) {
  char b[8];
  struct iovec l = {b, 8}, r = {(void *)main, 8};
  return process_vm_readv(atoi(arg(v, "VICTIM", "")), &l, 1, &r, 1, 0) < 0 && (errno == EPERM || errno == ESRCH) ? 1
                                                                                                                 : 0;
}
