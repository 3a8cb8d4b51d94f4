// Has a terminal.
#include "../attempt.h"

int main(int c, char **v) { return isatty(0) || isatty(1) || isatty(2) ? 0 : 1; }
