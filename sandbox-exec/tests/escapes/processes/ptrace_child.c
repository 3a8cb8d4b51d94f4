// Traces its child.
#include "../attempt.h"

int main(int c, char **v) {
  pid_t p = fork();
  if (!p) {
    sleep(2);
    _exit(0);
  }
  int r = ptrace(PTRACE_SEIZE, p, 0, 0);
  kill(p, SIGKILL);
  return r ? 1 : 0;
}
