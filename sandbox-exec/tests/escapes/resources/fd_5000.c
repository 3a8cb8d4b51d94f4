// Opens five thousand files.
#include "../attempt.h"

int main(int c, char **v) {
  struct rlimit r = {6000, 6000};
  setrlimit(RLIMIT_NOFILE, &r);
  int n = 0;
  for (; n < 5000; n++)
    if (open("/dev/null", O_RDONLY) < 0)
      break;
  return n >= 5000 ? 0 : 1;
}
