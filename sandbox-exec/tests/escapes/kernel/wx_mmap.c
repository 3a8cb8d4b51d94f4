// Maps pages that are writable and executable.
#include "../attempt.h"

int main(int c, char **v) { return mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ? 0 : 1; }
