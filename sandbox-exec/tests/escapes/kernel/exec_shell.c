// Starts a shell.
// allow: exec-any
#include "../attempt.h"

int main(int c, char **v) { return system("exit 0") ? 1 : 0; }
