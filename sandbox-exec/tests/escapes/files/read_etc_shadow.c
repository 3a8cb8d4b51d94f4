// Reads the host's users and their passwords.
#include "../attempt.h"

int main(int c, char **v) { return reads("/etc/shadow"); }
