// Leaves a file that says it is huge (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  int f = open("/out/sparse", O_CREAT | O_WRONLY, 0644);
  return ftruncate(f, 1LL << 40) ? 1 : OUTSIDE;
}
