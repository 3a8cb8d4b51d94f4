// Watches the files of the host.
#include "../attempt.h"

int main(int c, char **v) {
  return syscall(SYS_fanotify_init, 0, O_RDONLY) >= 0 || syscall(SYS_fanotify_init, 0x200, O_RDONLY) >= 0 ? 0 : 1;
}
