// Leaves a pipe in /out (checked outside).
#include "../attempt.h"

int main(int c, char **v) { return mkfifo("/out/fifo", 0600) ? 1 : OUTSIDE; }
