#include "share.h"

#include <unistd.h>

CUcontext share_open(void) {
  CUcontext context = NULL;
  CHECK_EQUAL(CUDA_SUCCESS, cuInit(0));
  CHECK_EQUAL(CUDA_SUCCESS, cuDevicePrimaryCtxRetain(&context, 0));
  CHECK_EQUAL(CUDA_SUCCESS, cuCtxSetCurrent(context));
  CHECK_EQUAL(NVML_SUCCESS, nvmlInit_v2());
  return context;
}

static nvmlMemory_t memory(void) {
  nvmlDevice_t device;
  nvmlMemory_t info;
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetHandleByIndex_v2(0, &device));
  CHECK_EQUAL(NVML_SUCCESS, nvmlDeviceGetMemoryInfo(device, &info));
  return info;
}

uint64_t share_used(void) { return memory().used; }
uint64_t share_free(void) { return memory().free; }
uint64_t share_total(void) { return memory().total; }

uint64_t device_used(void) { return hami_fake_used_bytes((int32_t)getpid(), 0); }

CUfunction share_kernel(uint64_t nanoseconds) {
  char ptx[256];
  CUmodule module;
  CUfunction kernel;
  snprintf(ptx, sizeof ptx, ".version 8.0\n.target sm_80\n// hami-fake: ns=%llu\n.visible .entry work() { ret; }\n",
           (unsigned long long)nanoseconds);
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleLoadData(&module, ptx));
  CHECK_EQUAL(CUDA_SUCCESS, cuModuleGetFunction(&kernel, module, "work"));
  return kernel;
}

CUresult share_launch(CUfunction kernel, CUstream stream) {
  return cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, stream, NULL, NULL);
}

void share_move_to_second(unsigned int percent) {
  char text[4096];
  char name[512];
  char temporary[600];
  const char *first = getenv("HAMI_LIMITS_FILE");
  CHECK(first != NULL);
  (void)snprintf(name, sizeof name, "%s.second", first);
  (void)snprintf(temporary, sizeof temporary, "%s.%d", name, (int)getpid());
  FILE *in = fopen(first, "r");
  FILE *out = fopen(temporary, "w");
  CHECK(in != NULL && out != NULL);
  while (fgets(text, sizeof text, in) != NULL) {
    char *end = strchr(text, '\n');
    char *core = strstr(text, "core_percent=");
    if (strncmp(text, "region ", 7) == 0) {
      *end = '\0';
      (void)fprintf(out, "%s.second\n", text);
    } else if (core != NULL) {
      *core = '\0';
      (void)fprintf(out, "%score_percent=%u\n", text, percent);
    } else {
      (void)fputs(text, out);
    }
  }
  CHECK(fclose(in) == 0 && fclose(out) == 0);
  CHECK(rename(temporary, name) == 0); /* others of that container may be reading it */
  CHECK(setenv("HAMI_LIMITS_FILE", name, 1) == 0);
}
