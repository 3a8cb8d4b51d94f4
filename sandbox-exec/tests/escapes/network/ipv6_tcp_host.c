// Connects over IPv6.
#include "../attempt.h"

int main(int c, char **v) { return socket(AF_INET6, SOCK_STREAM, 0) >= 0 ? 0 : 1; }
