// Leaves a file in /tmp that outlives the run (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  int r = writes("/tmp/modelscan-persist");
  return access("/tmp/modelscan-persist", F_OK) || r ? 1 : OUTSIDE;
}
