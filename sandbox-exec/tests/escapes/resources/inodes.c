// Makes twelve thousand files.
#include "../attempt.h"

int main(int c, char **v) {
  char p[64];
  int i;
  mkdir("/tmp/ms-i", 0700);
  for (i = 0; i < 12000; i++) {
    sprintf(p, "/tmp/ms-i/%d", i);
    int f = open(p, O_CREAT | O_WRONLY, 0600);
    if (f < 0)
      break;
    close(f);
  }
  for (int k = 0; k < i; k++) {
    sprintf(p, "/tmp/ms-i/%d", k);
    unlink(p);
  }
  rmdir("/tmp/ms-i");
  return i >= 12000 ? 0 : 1;
}
