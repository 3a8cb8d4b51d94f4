// Has the kernel write a log.
#include "../attempt.h"

int main(int c, char **v) { return acct("/nonexistent") < 0 && errno == EPERM ? 1 : 0; }
