// Runs on processors of its own choice.
#include "../attempt.h"

int main(int c, char **v) {
  cpu_set_t s;
  memset(&s, 0xff, sizeof s);
  return sched_setaffinity(0, sizeof s, &s) ? 1 : 0;
}
