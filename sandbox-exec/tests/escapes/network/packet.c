// Opens a packet socket.
#include "../attempt.h"

int main(int c, char **v) { return socket(AF_PACKET, SOCK_RAW, 0) >= 0 ? 0 : 1; }
