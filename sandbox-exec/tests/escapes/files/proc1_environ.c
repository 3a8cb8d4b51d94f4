// Reads the environment of the first process.
#include "../attempt.h"

int main(int c, char **v) { return reads("/proc/1/environ"); }
