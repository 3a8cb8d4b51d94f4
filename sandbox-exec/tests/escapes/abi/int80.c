// Calls the kernel as a 32-bit program.
#include "../attempt.h"

int main(int c, char **v) {
#ifdef __x86_64__
  long r;
  __asm__ volatile("int $0x80" : "=a"(r) : "0"(20) : "memory", "r8", "r9", "r10", "r11");
  return r > 0 ? 0 : 1;
#else
  return 1;
#endif
}
