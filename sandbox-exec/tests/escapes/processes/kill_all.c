// Kills the first process, and with it the one who watches.
// control: harm
#include "../attempt.h"

int main(int c, char **v) {
  // Of a first process that is killed nobody inside can tell: the judge looks whether this came to its end by itself.
  kill(1, SIGSTOP);
  kill(1, SIGKILL);
  usleep(100000);
  return 1;
}

