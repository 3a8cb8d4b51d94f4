// Overwrites the program of the first process.
#include "../attempt.h"

int main(int c, char **v) { return open("/proc/1/exe", O_WRONLY) >= 0 || errno == ETXTBSY ? 0 : 1; }
