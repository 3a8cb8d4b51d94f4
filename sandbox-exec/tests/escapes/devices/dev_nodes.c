// Opens a device beyond the five.
#include "../attempt.h"

int main(int c, char **v) {
  const char *p[] = {"/dev/kmsg", "/dev/mem", "/dev/vda", "/dev/sda",  "/dev/nvme0n1",      "/dev/net/tun",
                     "/dev/fuse", "/dev/kvm", "/dev/tty", "/dev/ptmx", "/dev/loop-control", 0};
  for (int i = 0; p[i]; i++)
    if (open(p[i], O_RDONLY) >= 0)
      return 0;
  return 1;
}
