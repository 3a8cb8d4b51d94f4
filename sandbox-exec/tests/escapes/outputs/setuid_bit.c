// Leaves a setuid file in /out (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  int f = open("/out/suid", O_CREAT | O_WRONLY, 0755);
  return fchmod(f, 04755) ? 1 : OUTSIDE;
}
