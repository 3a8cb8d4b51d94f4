// Moves itself to another cgroup.
#include "../attempt.h"

int main(int c, char **v) {
  const char *p[] = {"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/memory/cgroup.procs",
                     "/sys/fs/cgroup/unified/cgroup.procs", 0};
  for (int i = 0; p[i]; i++)
    if (open(p[i], O_WRONLY) >= 0)
      return 0;
  return 1;
}
