// Leaves a link in /out (checked outside).
#include "../attempt.h"

int main(int c, char **v) { return symlink("/etc/passwd", "/out/link") ? 1 : OUTSIDE; }
