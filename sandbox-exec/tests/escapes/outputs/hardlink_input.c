// Links an input into /out.
#include "../attempt.h"

int main(int c, char **v) {
  int r = link(arg(v, "INPUT", ""), "/out/hard");
  if (!r)
    unlink("/out/hard");
  return r ? 1 : 0;
}
