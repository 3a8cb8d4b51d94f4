// Reads a file of the host by its path.
#include "../attempt.h"

int main(int c, char **v) { return reads(arg(v, "DIR", "/secret")); }
