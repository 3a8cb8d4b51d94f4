// Opens the trigger of magic keys.
#include "../attempt.h"

int main(int c, char **v) { return open("/proc/sysrq-trigger", O_WRONLY) >= 0 ? 0 : 1; }
