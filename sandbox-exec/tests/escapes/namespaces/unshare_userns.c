// Becomes root of a user namespace.
#include "../attempt.h"

int main(int c, char **v) { return unshare(CLONE_NEWUSER) ? 1 : 0; }
