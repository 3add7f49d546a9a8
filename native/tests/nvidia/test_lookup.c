/* However a program looks a function up, it reaches the same wrapper; what is not wrapped is exactly the driver's. */
#include <dlfcn.h>
#include <pthread.h>

#include "share.h"

static void *driver;

/* Where the library's own export of `name` is: what a program linked against the driver calls. */
static void *linked(const char *name) { return dlsym(RTLD_DEFAULT, name); }

static bool in_library(const void *address) {
  Dl_info info;
  return address != NULL && dladdr(address, &info) != 0 && strstr(info.dli_fname, "libhami_nvidia") != NULL;
}

static void every_way_reaches_the_same_wrapper(void) {
  const char *const names[] = {"cuMemAlloc_v2",   "cuMemFree_v2",        "cuLaunchKernel", "cuLaunchKernel_ptsz",
                               "cuMemGetInfo_v2", "cuGetProcAddress_v2", "cuMemCreate"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    void *wrapper = linked(names[i]);
    CHECK(in_library(wrapper));
    CHECK(dlsym(driver, names[i]) == wrapper);
    CHECK(dlsym(RTLD_NEXT, names[i]) == wrapper);
  }
  CHECK((void *)cuMemAlloc_v2 == linked("cuMemAlloc_v2"));
}

static void unwrapped_and_unknown_names_are_the_loaders_answer(void) {
  CHECK(!in_library(dlsym(driver, "cuMemHostAlloc")));
  CHECK(dlsym(driver, "cuMemHostAlloc") == dlsym(RTLD_DEFAULT, "cuMemHostAlloc"));
  CHECK(dlsym(driver, "cuNoSuchFunction") == NULL);
  const char *error = dlerror();
  CHECK(error != NULL && strstr(error, "cuNoSuchFunction") != NULL);
  CHECK(dlsym(RTLD_DEFAULT, "malloc") != NULL && !in_library(dlsym(RTLD_DEFAULT, "malloc")));
  CHECK(dlvsym(RTLD_DEFAULT, "cuMemAlloc_v2", "NO_SUCH_VERSION") == NULL);
}

/* For every wrapped function and every version and kind of stream: the pointer is of the name and the stream kind asked
 * for. */
static void a_looked_up_function_has_the_drivers_abi(void) {
  const char *const symbols[] = {"cuMemAlloc",      "cuMemFree",        "cuMemGetInfo",     "cuCtxCreate",
                                 "cuLaunchKernel",  "cuMemAllocAsync",  "cuGraphLaunch",    "cuGraphInstantiate",
                                 "cuGraphAddNode",  "cuDeviceTotalMem", "cuMemHostAlloc",   "cuNoSuchFunction",
                                 "cuArrayCreate",   "cuGetProcAddress", "cuCtxSynchronize", "cuDevicePrimaryCtxReset",
                                 "cuLaunchKernelEx"};
  const int versions[] = {2000, 3020, 4000, 7000, 10000, 11000, 11020, 11040, 12000, 12050, 13000};
  const cuuint64_t kinds[] = {CU_GET_PROC_ADDRESS_DEFAULT, CU_GET_PROC_ADDRESS_LEGACY_STREAM,
                              CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM};
  size_t wrapped = 0;
  for (size_t i = 0; i < sizeof symbols / sizeof symbols[0]; i++) {
    for (size_t j = 0; j < sizeof versions / sizeof versions[0]; j++) {
      for (size_t k = 0; k < 3; k++) {
        void *found = (void *)1;
        CUdriverProcAddressQueryResult status = (CUdriverProcAddressQueryResult)77;
        CUresult result = cuGetProcAddress_v2(symbols[i], &found, versions[j], kinds[k], &status);
        CHECK_EQUAL(CUDA_SUCCESS, result);
        CHECK((status == CU_GET_PROC_ADDRESS_SUCCESS) == (found != NULL));
        if (!in_library(found)) {
          continue;
        }
        wrapped++;
        Dl_info info;
        CHECK(dladdr(found, &info) != 0 && info.dli_sname != NULL);
        size_t length = strlen(symbols[i]);
        CHECK(strncmp(info.dli_sname, symbols[i], length) == 0);
        const char *suffix = info.dli_sname + length;
        CHECK(suffix[0] == '\0' || suffix[0] == '_');
        bool twin = strstr(suffix, "_ptsz") != NULL || strstr(suffix, "_ptds") != NULL;
        CHECK(!twin || kinds[k] == CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM);
      }
    }
  }
  CHECK(wrapped > 100);
}

static void chosen_variants_are_the_right_ones(void) {
  void *found;
  CUdriverProcAddressQueryResult status;
  CHECK_EQUAL(CUDA_SUCCESS, cuGetProcAddress_v2("cuCtxCreate", &found, 12000, 0, &status));
  CHECK(found == linked("cuCtxCreate_v3") || found == linked("cuCtxCreate_v2"));
  CHECK_EQUAL(CUDA_SUCCESS, cuGetProcAddress_v2("cuMemAlloc", &found, 3020, 0, &status));
  CHECK(found == linked("cuMemAlloc_v2"));
  CHECK_EQUAL(CUDA_SUCCESS, cuGetProcAddress_v2("cuMemAlloc", &found, 2000, 0, &status));
  CHECK(found == linked("cuMemAlloc"));
  CHECK_EQUAL(CUDA_SUCCESS, cuGetProcAddress_v2("cuLaunchKernel", &found, 12000,
                                                CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, &status));
  CHECK(found == linked("cuLaunchKernel_ptsz"));
  CHECK_EQUAL(CUDA_SUCCESS, cuGetProcAddress_v2("cuLaunchKernel", &found, 12000, 0, NULL));
  CHECK(found == linked("cuLaunchKernel"));
  CHECK(cuGetProcAddress_v2(NULL, &found, 12000, 0, NULL) != CUDA_SUCCESS);
  CHECK(cuGetProcAddress_v2("cuMemAlloc", NULL, 12000, 0, NULL) != CUDA_SUCCESS);
}

static void *look_up_often(void *unused) {
  (void)unused;
  for (int i = 0; i < 20000; i++) {
    CHECK(dlsym(driver, "cuMemAlloc_v2") != NULL);
    CHECK(dlsym(RTLD_NEXT, "cuMemFree_v2") != NULL);
    CHECK(dlsym(driver, "cuMemHostAlloc") != NULL);
  }
  return NULL;
}

static void concurrent_lookups_always_find(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_create(&threads[i], NULL, look_up_often, NULL) == 0);
  }
  for (int i = 0; i < 4; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
  }
}

int main(void) {
  driver = dlopen("libcuda.so.1", RTLD_NOW);
  CHECK(driver != NULL);
  RUN(every_way_reaches_the_same_wrapper);
  RUN(unwrapped_and_unknown_names_are_the_loaders_answer);
  RUN(a_looked_up_function_has_the_drivers_abi);
  RUN(chosen_variants_are_the_right_ones);
  RUN(concurrent_lookups_always_find);
  return 0;
}
