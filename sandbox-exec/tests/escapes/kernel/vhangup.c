// Hangs up the terminal.
// control: harm
#include "../attempt.h"

int main(int c, char **v) { return vhangup() ? 1 : 0; }
