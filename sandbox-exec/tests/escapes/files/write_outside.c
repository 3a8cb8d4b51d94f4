// Writes a file of the host.
#include "../attempt.h"

int main(int c, char **v) { return writes(arg(v, "DIR", "/canary")); }
