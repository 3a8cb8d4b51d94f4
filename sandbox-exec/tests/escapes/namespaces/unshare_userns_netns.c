// And makes networks there.
#include "../attempt.h"

int main(int c, char **v) { return unshare(CLONE_NEWUSER | CLONE_NEWNET) ? 1 : 0; }
