// Leaves folders a thousand deep (checked outside).
#include "../attempt.h"

int main(int c, char **v) {
  if (chdir("/out"))
    return 1;
  for (int i = 0; i < 1000; i++) {
    if (mkdir("d", 0755) || chdir("d"))
      return 1;
  }
  writes("end");
  return OUTSIDE;
}
