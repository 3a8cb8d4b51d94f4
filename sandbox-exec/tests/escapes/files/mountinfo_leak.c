// Learns host paths from its mounts.
#include "../attempt.h"

int main(int c, char **v) {
  char b[1 << 16];
  int f = open("/proc/self/mountinfo", O_RDONLY);
  if (f < 0)
    return 1;
  int n = read(f, b, sizeof b - 1);
  if (n <= 0)
    return 1;
  return 0;
}
