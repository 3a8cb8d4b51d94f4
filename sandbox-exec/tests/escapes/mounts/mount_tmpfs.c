// Mounts a file system.
#include "../attempt.h"

int main(int c, char **v) {
  mkdir("/tmp/ms-m", 0700);
  int r = mount("x", "/tmp/ms-m", "tmpfs", 0, 0);
  if (!r)
    umount("/tmp/ms-m");
  rmdir("/tmp/ms-m");
  return r ? 1 : 0;
}
