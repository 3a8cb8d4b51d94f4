// Asks a name server without connecting.
#include "../attempt.h"

int main(int c, char **v) {
  struct sockaddr_in a = {AF_INET, htons(53), {htonl(0x7f000001)}};
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  return s >= 0 && sendto(s, "x", 1, 0, (void *)&a, sizeof a) >= 0 ? 0 : 1;
}
