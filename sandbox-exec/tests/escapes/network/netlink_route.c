// Asks the kernel for its networks.
#include "../attempt.h"

int main(int c, char **v) { return socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? 0 : 1; }
