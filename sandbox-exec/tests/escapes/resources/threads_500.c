// Starts five hundred threads.
#include "../attempt.h"

static void *idle(void *x) {
  sleep(3);
  return 0;
}
int main(int c, char **v) {
  int n = 0;
  pthread_attr_t a;
  pthread_attr_init(&a);
  pthread_attr_setstacksize(&a, 65536);
  for (; n < 500; n++) {
    pthread_t t;
    if (pthread_create(&t, &a, idle, 0))
      break;
  }
  return n >= 500 ? 0 : 1;
}
