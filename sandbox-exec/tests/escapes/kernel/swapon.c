// Takes a file as swap.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_swapon, "/nonexistent", 0) < 0 && errno == EPERM ? 1 : 0; }
