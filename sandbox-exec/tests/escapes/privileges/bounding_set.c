// Could regain capabilities.
#include "../attempt.h"

int main(int c, char **v) {
  for (int i = 0; i < 41; i++)
    if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) > 0)
      return 0;
  return 1;
}
