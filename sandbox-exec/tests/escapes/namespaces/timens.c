// Makes a time namespace.
#include "../attempt.h"

int main(int c, char **v) { return unshare(0x80) ? 1 : 0; }
