// Executes a program from memory.
#include "../attempt.h"

int main(int c, char **v) {
  if (c > 1 && !strcmp(v[1], "again"))
    return 0;
  int f = memfd_create("x", 0);
  if (f < 0)
    f = memfd_create("x", 8);
  if (f < 0)
    return 1;
  int s = open(v[0], O_RDONLY);
  char b[65536];
  int n;
  while ((n = read(s, b, sizeof b)) > 0)
    write(f, b, n);
  char *a[] = {v[0], "again", 0};
  fexecve(f, a, environ);
  return 1;
}
