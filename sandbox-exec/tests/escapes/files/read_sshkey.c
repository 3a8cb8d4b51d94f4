// Reads a key where people keep keys.
#include "../attempt.h"

int main(int c, char **v) { return reads(arg(v, "DIR", "/.ssh/id_rsa")); }
