// Finds a message queue of the host.
#include "../attempt.h"

int main(int c, char **v) { return syscall(SYS_mq_open, arg(v, "MQ", ""), O_RDONLY, 0, 0) >= 0 ? 0 : 1; }
