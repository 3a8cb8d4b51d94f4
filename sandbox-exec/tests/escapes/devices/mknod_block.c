// Makes a node of a disk.
#include "../attempt.h"

int main(int c, char **v) {
  int r = mknod("/tmp/modelscan-node", S_IFBLK | 0600, makedev(7, 0));
  unlink("/tmp/modelscan-node");
  return r ? 1 : 0;
}
