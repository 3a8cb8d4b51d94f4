// Stops the kernel in a page fault.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_userfaultfd, 0) >= 0 || syscall(SYS_userfaultfd, 1) >= 0 ? 0 : 1; }
