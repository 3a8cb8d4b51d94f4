// Leaves two names of one file (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  writes("/out/one");
  return link("/out/one", "/out/two") ? 1 : OUTSIDE;
}
