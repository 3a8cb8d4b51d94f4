// Opens an ICMP socket.
#include "../attempt.h"

int main(int c, char **v) { return socket(AF_INET, SOCK_RAW, 1) >= 0 || socket(AF_INET, SOCK_DGRAM, 1) >= 0 ? 0 : 1; }
