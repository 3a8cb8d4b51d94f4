// Uses more than its share of the processors.
// quota: cpus
#include "../attempt.h"

static void *burn(void *x) {
  volatile long n = 0;
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  do {
    for (int i = 0; i < 100000; i++)
      n++;
    clock_gettime(CLOCK_MONOTONIC, &b);
  } while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 1000);
  return 0;
}
int main(int c, char **v) {
  pthread_t t[4];
  for (int i = 0; i < 4; i++)
    pthread_create(t + i, 0, burn, 0);
  for (int i = 0; i < 4; i++)
    pthread_join(t[i], 0);
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return u.ru_utime.tv_sec * 1000 + u.ru_utime.tv_usec / 1000 > 800 ? 0 : 1;
}
