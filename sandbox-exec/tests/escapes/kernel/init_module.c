// Loads a module.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_init_module, "x", 1L, "") < 0 && errno == EPERM ? 1 : 0; }
