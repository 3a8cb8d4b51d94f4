// Has capabilities.
#include "../attempt.h"

int main(int c, char **v) {
  struct {
    unsigned v;
    int p;
  } h = {0x20080522, 0};
  unsigned d[6] = {0};
  syscall(SYS_capget, &h, d);
  return d[0] | d[1] | d[3] | d[4] ? 0 : 1;
}
