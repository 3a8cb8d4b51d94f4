// Reads the time stamp counter.
// allow: rdtsc
#include "../attempt.h"

int main(int c, char **v) {
#ifdef __x86_64__
  return __builtin_ia32_rdtsc() ? 0 : 1;
#else
  return 1;
#endif
}
