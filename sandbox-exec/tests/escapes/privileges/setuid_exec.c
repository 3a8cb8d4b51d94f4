// Starts a setuid program that works.
#include "../attempt.h"

int main(int c, char **v) {
  char b[128] = {0};
  FILE *f = popen("/bin/su --version >/dev/null 2>&1; cat /proc/self/status 2>/dev/null | grep NoNewPrivs", "r");
  if (!f)
    return 1;
  fread(b, 1, 127, f);
  pclose(f);
  return strstr(b, "0") ? 0 : 1;
}
