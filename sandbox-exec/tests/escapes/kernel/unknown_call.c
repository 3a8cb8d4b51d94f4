// Uses a call that is newer than the filter.
#include "../attempt.h"

int main(int c, char **v) { return syscall(500) < 0 && errno == ENOSYS ? 1 : 0; }
