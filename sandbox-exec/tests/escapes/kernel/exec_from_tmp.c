// Executes a program that it wrote.
#include "../attempt.h"

int main(int c, char **v) { return copy_and_run("/tmp/ms-prog"); }
