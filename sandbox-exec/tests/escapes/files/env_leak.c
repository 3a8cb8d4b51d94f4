// Finds a secret variable of the caller in its own environment.
#include "../attempt.h"

int main(int c, char **v) { return getenv("STAGE_SECRET") ? 0 : 1; }
