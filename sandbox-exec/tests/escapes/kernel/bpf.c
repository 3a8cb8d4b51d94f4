// Loads a program into the kernel.
#include "../attempt.h"

int main(int c, char **v) {
  char a[128] = {0};
  *(int *)a = 2;
  *(int *)(a + 4) = 4;
  *(int *)(a + 8) = 4;
  *(int *)(a + 12) = 1;
  return syscall(SYS_bpf, 0, a, 128) >= 0 ? 0 : 1;
}
