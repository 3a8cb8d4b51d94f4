// Opens a socket of a rare family.
#include "../attempt.h"

int main(int c, char **v) {
  for (int d = 3; d < 46; d++)
    if (d != AF_INET6 && socket(d, SOCK_DGRAM, 0) >= 0)
      return 0;
  return 1;
}
