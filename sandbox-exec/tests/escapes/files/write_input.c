// Writes what it was given to read.
#include "../attempt.h"

int main(int c, char **v) { return writes(arg(v, "INPUT", "")); }
