// Kills the first process, and with it the one who watches.
// control: harm
#include "../attempt.h"

int main(int c, char **v) {
  // A killed first process cannot be observed inside: the suite checks whether this program ended normally.
  kill(1, SIGSTOP);
  kill(1, SIGKILL);
  usleep(100000);
  return 1;
}

