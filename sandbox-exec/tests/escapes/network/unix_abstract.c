// Connects to an abstract socket of the host.
#include "../attempt.h"

int main(int c, char **v) {
  struct sockaddr_un a = {AF_UNIX, ""};
  const char *n = arg(v, "ABSTRACT", "");
  strcpy(a.sun_path + 1, n);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  return connect(s, (void *)&a, sizeof(sa_family_t) + 1 + strlen(n)) ? 1 : 0;
}
