// Executes a program that it wrote to /out or /tmp.
#include "../attempt.h"

int main(int c, char **v) { return copy_and_run("/out/prog"); }
