// Makes a read-only mount writable.
// control: harm
#include "../attempt.h"

int main(int c, char **v) { return mount(0, "/usr", 0, MS_REMOUNT | MS_BIND, 0) ? 1 : 0; }
