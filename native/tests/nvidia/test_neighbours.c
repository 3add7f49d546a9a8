/*
 * Two shares on one machine: inside one, only its own processes and memory show. The neighbour is a child that leaves
 * the share by dropping what makes it part of one.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "share.h"

#define NEIGHBOUR_BYTES (2000 * MIB)

static int neighbour(int ready) {
  CUdeviceptr pointer;
  (void)share_open();
  CHECK_EQUAL(CUDA_SUCCESS, cuMemAlloc_v2(&pointer, NEIGHBOUR_BYTES));
  CUfunction kernel = share_kernel(1000000);
  CHECK(write(ready, "x", 1) == 1);
  for (;;) {
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
    CHECK_EQUAL(CUDA_SUCCESS, cuStreamSynchronize(NULL));
  }
}

static pid_t start_neighbour(void) {
  int ready[2];
  char byte;
  char descriptor[16];
  CHECK(pipe(ready) == 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    (void)unsetenv("LD_PRELOAD");
    (void)unsetenv("HAMI_LIMITS_FILE");
    snprintf(descriptor, sizeof descriptor, "%d", ready[1]);
    (void)execl("/proc/self/exe", "neighbour", descriptor, (char *)NULL);
    _exit(1);
  }
  CHECK(read(ready[0], &byte, 1) == 1);
  return pid;
}

static void check_view(void) {
  nvmlDevice_t device;
  nvmlProcessInfo_t infos[8];
  nvmlProcessUtilizationSample_t samples[64];
  unsigned int count = 8;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetComputeRunningProcesses_v3(device, &count, infos));
  CHECK_EQUAL(1, count);
  CHECK_EQUAL(getpid(), infos[0].pid);
  CHECK(share_used() < NEIGHBOUR_BYTES);
  CHECK_EQUAL(1000 * MIB, share_total());
  count = 64;
  nvmlReturn_t result = nvmlDeviceGetProcessUtilization(device, samples, &count, 0);
  CHECK(result == NVML_SUCCESS || result == NVML_ERROR_NOT_FOUND);
  for (unsigned int i = 0; result == NVML_SUCCESS && i < count; i++) {
    CHECK_EQUAL(getpid(), samples[i].pid);
  }
  nvmlProcessUtilizationInfo_v1_t rows[64];
  nvmlProcessesUtilizationInfo_t info = {
      .version = nvmlProcessesUtilizationInfo_v1, .processSamplesCount = 64, .procUtilArray = rows};
  result = nvmlDeviceGetProcessesUtilizationInfo(device, &info);
  CHECK(result == NVML_SUCCESS || result == NVML_ERROR_NOT_FOUND);
  for (unsigned int i = 0; result == NVML_SUCCESS && i < info.processSamplesCount; i++) {
    CHECK_EQUAL(getpid(), rows[i].pid);
  }
}

int main(int argc, char **argv) {
  if (strcmp(argv[0], "neighbour") == 0 && argc == 2) {
    return neighbour(atoi(argv[1]));
  }
  pid_t pid = start_neighbour();
  unsigned int count = 0; /* before NVML is started: an error, and no reason to answer otherwise later */
  CHECK_EQUAL(NVML_ERROR_UNINITIALIZED, nvmlDeviceGetComputeRunningProcesses_v3(NULL, &count, NULL));
  (void)share_open();
  CUfunction kernel = share_kernel(1000000);
  for (int i = 0; i < 200; i++) {
    CHECK_EQUAL(CUDA_SUCCESS, share_launch(kernel, NULL));
  }
  check_view();
  CHECK(kill(pid, SIGKILL) == 0);
  CHECK(waitpid(pid, NULL, 0) == pid);
  return 0;
}
