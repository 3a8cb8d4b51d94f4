// Keeps groups of the caller.
#include "../attempt.h"

int main(int c, char **v) {
  gid_t g[64];
  int n = getgroups(64, g);
  for (int i = 0; i < n; i++)
    if (g[i] != 65534)
      return 0;
  return 1;
}
