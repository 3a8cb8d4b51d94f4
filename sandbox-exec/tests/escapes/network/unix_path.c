// Connects to a socket file of the host.
#include "../attempt.h"

int main(int c, char **v) {
  struct sockaddr_un a = {AF_UNIX, ""};
  strcpy(a.sun_path, arg(v, "DIR", "/socket"));
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  return connect(s, (void *)&a, sizeof a) ? 1 : 0;
}
