// Reads facts of the host in /proc.
#include "../attempt.h"

int main(int c, char **v) {
  const char *p[] = {"/proc/cpuinfo", "/proc/meminfo", "/proc/version",  "/proc/modules",
                     "/proc/net/tcp", "/proc/cmdline", "/proc/kallsyms", 0};
  for (int i = 0; p[i]; i++)
    if (open(p[i], O_RDONLY) >= 0)
      return 0;
  return 1;
}
