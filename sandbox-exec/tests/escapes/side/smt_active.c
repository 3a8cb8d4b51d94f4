// Learns whether cores are shared.
#include "../attempt.h"

int main(int c, char **v) { return access("/sys/devices/system/cpu/smt/active", F_OK) ? 1 : 0; }
