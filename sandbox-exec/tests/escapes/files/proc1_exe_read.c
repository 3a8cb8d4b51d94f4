// Reads the program of the first process.
#include "../attempt.h"

int main(int c, char **v) { return open("/proc/1/exe", O_RDONLY) >= 0 ? 0 : 1; }
