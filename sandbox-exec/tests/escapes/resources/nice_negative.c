// Takes a better priority.
#include "../attempt.h"

int main(int c, char **v) { return setpriority(PRIO_PROCESS, 0, -10) ? 1 : 0; }
