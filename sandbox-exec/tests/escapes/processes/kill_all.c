// Signals everything it may.
// control: harm
#include "../attempt.h"

int main(int c, char **v) { return kill(1, SIGKILL) ? 1 : 0; }
