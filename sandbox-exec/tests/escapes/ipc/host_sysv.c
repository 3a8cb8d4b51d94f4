// Finds shared memory of the host.
#include "../attempt.h"

int main(int c, char **v) { return shmget(atoi(arg(v, "SHM", "")), 0, 0) >= 0 ? 0 : 1; }
