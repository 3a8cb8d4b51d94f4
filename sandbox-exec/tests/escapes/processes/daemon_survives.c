// Leaves a process behind (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  // The name is inherited, so the one left behind has it from its birth.
  prctl(PR_SET_NAME, "ms-survivor");
  if (fork() == 0) {
    setsid();
    if (fork() == 0) {
      for (int i = 0; i < 3; i++)
        close(i);
      sleep(4);
    }
    _exit(0);
  }
  wait(0);
  return OUTSIDE;
}
