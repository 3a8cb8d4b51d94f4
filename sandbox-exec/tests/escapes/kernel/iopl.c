// Takes the processor's ports.
#include "../attempt.h"

int main(int c, char **v) { return iopl(3) ? 1 : 0; }
