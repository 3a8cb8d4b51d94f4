// Makes a node of a GPU.
#include "../attempt.h"

int main(int c, char **v) {
  int r = mknod("/tmp/modelscan-gpu", S_IFCHR | 0600, makedev(195, 0));
  unlink("/tmp/modelscan-gpu");
  return r ? 1 : 0;
}
