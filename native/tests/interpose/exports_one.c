/* A library with a few functions, one of which the test looks for. */
#define EXPORTED __attribute__((visibility("default")))

EXPORTED int NAME(void);
EXPORTED int another_function(void);
EXPORTED int one_more_function(void);

int NAME(void) { return 1; }
int another_function(void) { return 2; }
int one_more_function(void) { return 3; }
