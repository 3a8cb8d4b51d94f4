// Forks three hundred processes.
#include "../attempt.h"

int main(int c, char **v) {
  int n = 0;
  for (; n < 300; n++) {
    pid_t p = fork();
    if (p < 0)
      break;
    if (!p) {
      sleep(3);
      _exit(0);
    }
  }
  signal(SIGTERM, SIG_IGN);
  int r = n >= 300 ? 0 : 1;
  kill(0, SIGTERM);
  return r;
}
