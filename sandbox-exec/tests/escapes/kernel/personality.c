// Switches address randomization off.
#include "../attempt.h"

int main(int c, char **v) { return personality(0x40000) < 0 ? 1 : 0; }
