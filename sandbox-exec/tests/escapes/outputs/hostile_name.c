// Leaves a file whose name types into a terminal (checked outside).
#include "../attempt.h"

int main(int c, char **v) { return writes("/out/\033]0;owned\007") ? 1 : OUTSIDE; }
