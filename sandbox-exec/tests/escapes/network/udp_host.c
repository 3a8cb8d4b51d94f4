// Sends a datagram to the host.
#include "../attempt.h"

int main(int c, char **v) {
  struct sockaddr_in a = {AF_INET, htons(atoi(arg(v, "TCP", ""))), {htonl(0x7f000001)}};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  return s >= 0 && sendto(s, "x", 1, 0, (void *)&a, sizeof a) == 1 ? 0 : 1;
}
