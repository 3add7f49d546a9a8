/* Every way to launch on Ascend that its double has. See tests/interpose/launches.h. */
#include "tests/interpose/launches.h"

#include "ascend/api.h"
#include "tests/core/check.h"

static void *work(const uint64_t *duration_ns) { return (void *)(uintptr_t)duration_ns; }

static int by_stub(const uint64_t *d) { return rtKernelLaunch(d, 1, NULL, 0, NULL, NULL); }
static int by_handle(const uint64_t *d) {
  return rtKernelLaunchWithHandleV2(work(d), 5, 7, NULL, NULL, NULL, (const rtTaskCfgInfo_t *)0x99);
}
static int by_function(const uint64_t *d) {
  return rtsLaunchKernelWithHostArgs(work(d), 7, NULL, NULL, (void *)0x1234, 8, NULL, 9);
}
static int on_cpu(const uint64_t *d) { return rtAicpuKernelLaunchExWithArgs(2, "op", 1, work(d), NULL, NULL, 3); }
static int by_ffts(const uint64_t *d) { return rtFftsPlusTaskLaunchWithFlag(work(d), NULL, 0); }
static int by_stars(const uint64_t *d) { return rtStarsTaskLaunchWithFlag(d, 64, NULL, 0); }
static int by_control(const uint64_t *d) {
  uintptr_t words[] = {(uintptr_t)d, 64, 0, 0};
  return rtGeneralCtrl(words, 4, RT_GNL_CTRL_TYPE_STARS_TSK_FLAG);
}
static int ffts_by_control(const uint64_t *d) {
  uintptr_t words[] = {(uintptr_t)d, 0, 0};
  return rtGeneralCtrl(words, 3, RT_GNL_CTRL_TYPE_FFTS_PLUS_FLAG);
}
static int by_model(const uint64_t *d) { return rtModelExecute(work(d), NULL, 0); }
static int by_model_and_wait(const uint64_t *d) { return rtsModelExecute(work(d), -1); }
static int configured(const uint64_t *d) { return rtLaunch(d); }

static const struct launch_path paths[] = {
    {"rtKernelLaunch", by_stub, LAUNCH_MEASURED},
    {"rtKernelLaunchWithHandleV2", by_handle, LAUNCH_MEASURED},
    {"rtsLaunchKernelWithHostArgs", by_function, LAUNCH_MEASURED},
    {"rtAicpuKernelLaunchExWithArgs", on_cpu, LAUNCH_MEASURED},
    {"rtFftsPlusTaskLaunchWithFlag", by_ffts, LAUNCH_MEASURED},
    {"rtStarsTaskLaunchWithFlag", by_stars, LAUNCH_MEASURED},
    {"rtGeneralCtrl, STARS", by_control, LAUNCH_MEASURED},
    {"rtGeneralCtrl, FFTS+", ffts_by_control, LAUNCH_MEASURED},
    {"rtModelExecute", by_model, LAUNCH_MEASURED},
    {"rtsModelExecute", by_model_and_wait, LAUNCH_SYNCHRONOUS},
    {"rtLaunch", configured, LAUNCH_ESTIMATED},
};

static void synchronise(void) { CHECK_EQUAL(RT_ERROR_NONE, rtStreamSynchronize(NULL)); }

static void controls_that_launch_nothing_pass(void) {
  uintptr_t words[] = {1};
  CHECK_EQUAL(RT_ERROR_NONE, rtGeneralCtrl(words, 1, 12));
  CHECK_EQUAL(RT_ERROR_NONE, rtGeneralCtrl(words, 1, RT_GNL_CTRL_TYPE_STARS_TSK_FLAG)); /* too few words for a stream */
  CHECK_EQUAL(107000, rtGeneralCtrl(NULL, 4, RT_GNL_CTRL_TYPE_STARS_TSK));
}

int main(void) {
  launches_check(paths, sizeof paths / sizeof paths[0], synchronise);
  RUN(controls_that_launch_nothing_pass);
  return 0;
}
