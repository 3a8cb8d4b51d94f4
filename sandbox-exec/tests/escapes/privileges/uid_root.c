// Is or becomes root.
#include "../attempt.h"

int main(int c, char **v) { return getuid() == 0 || geteuid() == 0 || !setuid(0) ? 0 : 1; }
