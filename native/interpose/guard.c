#include "guard.h"

__thread bool hami_guard_flag __attribute__((tls_model("initial-exec")));
