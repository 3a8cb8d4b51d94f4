// May gain privileges by exec.
#include "../attempt.h"

int main(int c, char **v) { return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 1 : 0; }
