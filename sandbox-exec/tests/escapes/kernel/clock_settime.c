// Sets the clock.
#include "../attempt.h"

int main(int c, char **v) {
  struct timex t = {0};
  t.modes = ADJ_STATUS;
  t.status = 0;
  struct timex q = {0};
  if (adjtimex(&q) < 0)
    return 1;
  t.status = q.status;
  return adjtimex(&t) < 0 ? 1 : 0;
}
