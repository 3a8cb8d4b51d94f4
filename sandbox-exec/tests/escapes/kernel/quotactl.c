// Asks for the host's quotas.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_quotactl, 0x80000100, 0, 0, 0) < 0 && errno == EPERM ? 1 : 0; }
