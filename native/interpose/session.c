#include "session.h"

#include "books.h"
#include "physical.h"
#include "vendor.h"

enum hami_session_state hami_session_state;

bool hami_session_decide(void) {
  bool limited = hami_core_start(hami_vendor.environment);
  __atomic_store_n(&hami_session_state, limited ? HAMI_SESSION_LIMITED : HAMI_SESSION_NONE, __ATOMIC_RELEASE);
  return limited;
}

void hami_session_forget_parent(void) {
  hami_books_after_fork_in_child();
  hami_physical_after_fork_in_child();
  if (hami_vendor.after_fork_in_child != NULL) {
    hami_vendor.after_fork_in_child();
  }
}
