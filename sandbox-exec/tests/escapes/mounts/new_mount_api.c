// Makes a file system by the new calls.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_fsopen, "tmpfs", 0) >= 0 ? 0 : 1; }
