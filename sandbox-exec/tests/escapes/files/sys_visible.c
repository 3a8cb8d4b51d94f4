// Looks at the host's devices in /sys.
#include "../attempt.h"

int main(int c, char **v) { return access("/sys/kernel", F_OK) ? 1 : 0; }
