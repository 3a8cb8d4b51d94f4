// Leaves a key in the kernel.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_add_key, "user", "ms", "x", 1, -2) >= 0 ? 0 : 1; }
