// Opens a socket to the hypervisor.
#include "../attempt.h"

int main(int c, char **v) { return socket(40, SOCK_STREAM, 0) >= 0 ? 0 : 1; }
