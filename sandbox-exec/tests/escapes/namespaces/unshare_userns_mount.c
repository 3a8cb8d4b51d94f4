// And mounts there.
#include "../attempt.h"

int main(int c, char **v) { return unshare(CLONE_NEWUSER | CLONE_NEWNS) ? 1 : 0; }
