// Takes a mount away.
// control: harm
#include "../attempt.h"

int main(int c, char **v) { return umount2("/usr", MNT_DETACH) ? 1 : 0; }
