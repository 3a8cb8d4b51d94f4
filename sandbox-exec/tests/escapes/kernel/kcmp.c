// Learns how kernel objects are placed.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_kcmp, getpid(), getpid(), 0, 0, 1) >= 0 ? 0 : 1; }
