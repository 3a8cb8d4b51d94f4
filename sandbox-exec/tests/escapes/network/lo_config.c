// Brings an interface up.
#include "../attempt.h"

int main(int c, char **v) {
  int s = socket(AF_UNIX, SOCK_DGRAM, 0);
  struct ifreq r = {0};
  strcpy(r.ifr_name, "lo");
  r.ifr_flags = IFF_UP;
  return ioctl(s, SIOCSIFFLAGS, &r) ? 1 : 0;
}
