/* Load for the core limit. Arguments: tests/interpose/pacing.h. */
#include "tests/interpose/pacing.h"

#include "share.h"

static CUfunction kernel;

static void open_card(const uint64_t *duration_ns) {
  (void)share_open();
  kernel = share_kernel(*duration_ns);
}

static int launch(const uint64_t *duration_ns) {
  (void)duration_ns;
  return (int)share_launch(kernel, NULL);
}

static void synchronise(void) { CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL)); }

int main(int argc, char **argv) {
  static const struct pacing_vendor vendor = {
      .open = open_card, .launch = launch, .synchronise = synchronise, .move_to_second = share_move_to_second};
  return pacing_load(argc, argv, &vendor);
}
