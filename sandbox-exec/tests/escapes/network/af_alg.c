// Opens the kernel's cryptography.
#include "../attempt.h"

int main(int c, char **v) { return socket(AF_ALG, SOCK_SEQPACKET, 0) >= 0 ? 0 : 1; }
