// Walks to the root of the first process.
#include "../attempt.h"

int main(int c, char **v) { return access("/proc/1/root/usr", F_OK) ? 1 : 0; }
