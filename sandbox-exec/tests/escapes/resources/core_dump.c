// Leaves a core file, or has a handler of the host started.
#include "../attempt.h"

int main(int c, char **v) {
  struct rlimit r = {0, 0};
  if (!setrlimit(RLIMIT_CORE, &r))
    return 0;
  r.rlim_cur = r.rlim_max = 1 << 20;
  return setrlimit(RLIMIT_CORE, &r) ? 1 : 0;
}
