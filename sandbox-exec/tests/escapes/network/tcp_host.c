// Connects to a port of the host.
#include "../attempt.h"

int main(int c, char **v) { return tcp("127.0.0.1", atoi(arg(v, "TCP", ""))); }
