// Types into the caller's terminal.
#include "../attempt.h"

int main(int c, char **v) {
  int f = open("/dev/tty", O_RDWR);
  int r = -1;
  for (int i = 0; i < 3; i++)
    r = r && ioctl(i, TIOCSTI, "x");
  if (f >= 0)
    r = r && ioctl(f, TIOCSTI, "x");
  return r && (errno == EPERM) && f < 0 ? 1 : 0;
}
