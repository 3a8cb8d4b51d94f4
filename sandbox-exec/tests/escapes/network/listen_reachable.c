// Listens where the host can connect.
#include "../attempt.h"

int main(int c, char **v) {
  struct sockaddr_in a = {AF_INET, 0, {0}};
  int s = socket(AF_INET, SOCK_STREAM, 0);
  return s >= 0 && !bind(s, (void *)&a, sizeof a) && !listen(s, 1) ? 0 : 1;
}
