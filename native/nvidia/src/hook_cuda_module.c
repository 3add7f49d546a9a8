/*
 * Code: what a module or library takes on the device shows in NVML's figures only, see growth.h. Functions that are
 * loaded lazily take their memory at their first launch, which is found at the next comparison.
 */
#include "growth.h"
#include "hook.h"

/* The end of every wrapper here. */
#define CHANGE_CODE(change, ...)                                                                                       \
  do {                                                                                                                 \
    CUresult result = real(__VA_ARGS__);                                                                               \
    hami_growth_expect(change);                                                                                        \
    hami_growth_check();                                                                                               \
    HAMI_LEAVE(result);                                                                                                \
  } while (0)

CUresult cuModuleLoad(CUmodule *module, const char *fname) {
  HAMI_CUDA_ENTER(cuModuleLoad, module, fname);
  CHANGE_CODE(HAMI_GROWTH_MORE, module, fname);
}

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  HAMI_CUDA_ENTER(cuModuleLoadData, module, image);
  CHANGE_CODE(HAMI_GROWTH_MORE, module, image);
}

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int numOptions, CUjit_option *options,
                            void **optionValues) {
  HAMI_CUDA_ENTER(cuModuleLoadDataEx, module, image, numOptions, options, optionValues);
  CHANGE_CODE(HAMI_GROWTH_MORE, module, image, numOptions, options, optionValues);
}

CUresult cuModuleLoadFatBinary(CUmodule *module, const void *fatCubin) {
  HAMI_CUDA_ENTER(cuModuleLoadFatBinary, module, fatCubin);
  CHANGE_CODE(HAMI_GROWTH_MORE, module, fatCubin);
}

CUresult cuModuleUnload(CUmodule hmod) {
  HAMI_CUDA_ENTER(cuModuleUnload, hmod);
  CHANGE_CODE(HAMI_GROWTH_LESS, hmod);
}

CUresult cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jitOptions, void **jitOptionsValues,
                           unsigned int numJitOptions, CUlibraryOption *libraryOptions, void **libraryOptionValues,
                           unsigned int numLibraryOptions) {
  HAMI_CUDA_ENTER(cuLibraryLoadData, library, code, jitOptions, jitOptionsValues, numJitOptions, libraryOptions,
                  libraryOptionValues, numLibraryOptions);
  CHANGE_CODE(HAMI_GROWTH_MORE, library, code, jitOptions, jitOptionsValues, numJitOptions, libraryOptions,
              libraryOptionValues, numLibraryOptions);
}

CUresult cuLibraryLoadFromFile(CUlibrary *library, const char *fileName, CUjit_option *jitOptions,
                               void **jitOptionsValues, unsigned int numJitOptions, CUlibraryOption *libraryOptions,
                               void **libraryOptionValues, unsigned int numLibraryOptions) {
  HAMI_CUDA_ENTER(cuLibraryLoadFromFile, library, fileName, jitOptions, jitOptionsValues, numJitOptions, libraryOptions,
                  libraryOptionValues, numLibraryOptions);
  CHANGE_CODE(HAMI_GROWTH_MORE, library, fileName, jitOptions, jitOptionsValues, numJitOptions, libraryOptions,
              libraryOptionValues, numLibraryOptions);
}

CUresult cuLibraryUnload(CUlibrary library) {
  HAMI_CUDA_ENTER(cuLibraryUnload, library);
  CHANGE_CODE(HAMI_GROWTH_LESS, library);
}

CUresult cuFuncLoad(CUfunction function) {
  HAMI_CUDA_ENTER(cuFuncLoad, function);
  CHANGE_CODE(HAMI_GROWTH_MORE, function);
}
