// Stops the machine.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_reboot, 1, 2, 3, 0) < 0 && errno == EPERM ? 1 : 0; }
