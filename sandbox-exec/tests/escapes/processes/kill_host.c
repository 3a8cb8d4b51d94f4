// Signals a process of the host.
#include "../attempt.h"

int main(int c, char **v) { return kill(atoi(arg(v, "VICTIM", "")), SIGCONT) ? 1 : 0; }
