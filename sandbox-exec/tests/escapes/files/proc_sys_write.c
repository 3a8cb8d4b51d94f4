// Opens a kernel setting for writing.
#include "../attempt.h"

int main(int c, char **v) { return open("/proc/sys/kernel/core_pattern", O_WRONLY) >= 0 ? 0 : 1; }
