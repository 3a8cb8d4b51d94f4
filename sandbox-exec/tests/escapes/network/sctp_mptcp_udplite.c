// Opens a socket of a rare protocol.
#include "../attempt.h"

int main(int c, char **v) {
  return socket(AF_INET, SOCK_STREAM, 132) >= 0 || socket(AF_INET, SOCK_STREAM, 262) >= 0 ||
                 socket(AF_INET, SOCK_DGRAM, 136) >= 0
             ? 0
             : 1;
}
