// Takes memory in System V segments.
// quota: memory
#include "../attempt.h"

int main(int c, char **v) {
  int i = shmget(IPC_PRIVATE, 256 << 20, 0600 | IPC_CREAT);
  if (i < 0)
    return 1;
  char *p = shmat(i, 0, 0);
  shmctl(i, IPC_RMID, 0);
  if (p == (void *)-1)
    return 1;
  memset(p, 1, 256 << 20);
  return 0;
}
