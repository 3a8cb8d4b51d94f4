// Has no filter.
#include "../attempt.h"

int main(int c, char **v) { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 0 ? 0 : 1; }
