/* Modules, libraries and the linker: two generations of calls over the same module. */
#include <stdlib.h>
#include <string.h>

#include "driver.h"

static CUresult load(const void *image, CUmodule *out) {
  struct fake_context *context = NULL;
  struct fake_module *module = NULL;
  FAKE_TRY(fake_current(&context));
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  FAKE_TRY(fake_module_load(context, image, &module));
  *out = (CUmodule)module;
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *out, const void *image) {
  FAKE_ENTER(cuModuleLoadData);
  return load(image, out);
}

CUresult cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned count, CUjit_option *options, void **values) {
  FAKE_ENTER(cuModuleLoadDataEx);
  (void)count;
  (void)options;
  (void)values;
  return load(image, out);
}

CUresult cuModuleLoadFatBinary(CUmodule *out, const void *image) {
  FAKE_ENTER(cuModuleLoadFatBinary);
  return load(image, out);
}

CUresult cuModuleLoad(CUmodule *out, const char *path) {
  FAKE_ENTER(cuModuleLoad);
  char *image = path == NULL ? NULL : fake_image_read(path);
  if (image == NULL) {
    return path == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_FILE_NOT_FOUND;
  }
  CUresult result = load(image, out);
  free(image);
  return result;
}

#define ENTER_MODULE(name)                                                                                             \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_module *module = (struct fake_module *)handle;                                                           \
  if (!fake_object_is(module, FAKE_MODULE)) {                                                                          \
    return CUDA_ERROR_INVALID_HANDLE;                                                                                  \
  }

CUresult cuModuleUnload(CUmodule handle) {
  ENTER_MODULE(cuModuleUnload);
  fake_module_unload(module);
  return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule handle, const char *name) {
  ENTER_MODULE(cuModuleGetFunction);
  return out == NULL ? CUDA_ERROR_INVALID_VALUE : fake_module_kernel(module, name, (struct fake_kernel **)out);
}

CUresult cuModuleGetFunctionCount(unsigned *count, CUmodule handle) {
  ENTER_MODULE(cuModuleGetFunctionCount);
  if (count == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *count = fake_module_kernel_count(module);
  return CUDA_SUCCESS;
}

CUresult cuModuleEnumerateFunctions(CUfunction *out, unsigned count, CUmodule handle) {
  ENTER_MODULE(cuModuleEnumerateFunctions);
  struct fake_kernel *kernel = fake_module_first_kernel(module);
  for (unsigned i = 0; out != NULL && i < count && kernel != NULL; i++, kernel = kernel->next) {
    out[i] = (CUfunction)kernel;
  }
  return out == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal_v2(CUdeviceptr *out, size_t *bytes, CUmodule handle, const char *name) {
  ENTER_MODULE(cuModuleGetGlobal_v2);
  return fake_module_global(module, name, out, bytes);
}

CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode *mode) {
  FAKE_ENTER(cuModuleGetLoadingMode);
  if (mode == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *mode = CU_MODULE_LAZY_LOADING;
  return CUDA_SUCCESS;
}

/* A library belongs to no context; the double keeps its module in the primary context of the first card. */
static CUresult load_library(CUlibrary *out, const void *image) {
  struct fake_context *context = NULL;
  struct fake_module *module = NULL;
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (fake_current(&context) != CUDA_SUCCESS) {
    context = NULL;
  }
  FAKE_TRY(fake_module_load(context, image, &module));
  *out = (CUlibrary)module;
  return CUDA_SUCCESS;
}

CUresult cuLibraryLoadData(CUlibrary *out, const void *image, CUjit_option *jit, void **jit_values, unsigned jit_count,
                           CUlibraryOption *options, void **values, unsigned count) {
  FAKE_ENTER(cuLibraryLoadData);
  (void)jit;
  (void)jit_values;
  (void)jit_count;
  (void)options;
  (void)values;
  (void)count;
  return load_library(out, image);
}

CUresult cuLibraryLoadFromFile(CUlibrary *out, const char *path, CUjit_option *jit, void **jit_values,
                               unsigned jit_count, CUlibraryOption *options, void **values, unsigned count) {
  FAKE_ENTER(cuLibraryLoadFromFile);
  (void)jit;
  (void)jit_values;
  (void)jit_count;
  (void)options;
  (void)values;
  (void)count;
  char *image = path == NULL ? NULL : fake_image_read(path);
  if (image == NULL) {
    return path == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_FILE_NOT_FOUND;
  }
  CUresult result = load_library(out, image);
  free(image);
  return result;
}

CUresult cuLibraryUnload(CUlibrary handle) {
  ENTER_MODULE(cuLibraryUnload);
  fake_module_unload(module);
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetKernel(CUkernel *out, CUlibrary handle, const char *name) {
  ENTER_MODULE(cuLibraryGetKernel);
  return out == NULL ? CUDA_ERROR_INVALID_VALUE : fake_module_kernel(module, name, (struct fake_kernel **)out);
}

CUresult cuLibraryGetKernelCount(unsigned *count, CUlibrary handle) {
  ENTER_MODULE(cuLibraryGetKernelCount);
  if (count == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *count = fake_module_kernel_count(module);
  return CUDA_SUCCESS;
}

CUresult cuLibraryEnumerateKernels(CUkernel *out, unsigned count, CUlibrary handle) {
  ENTER_MODULE(cuLibraryEnumerateKernels);
  struct fake_kernel *kernel = fake_module_first_kernel(module);
  for (unsigned i = 0; out != NULL && i < count && kernel != NULL; i++, kernel = kernel->next) {
    out[i] = (CUkernel)kernel;
  }
  return out == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuLibraryGetModule(CUmodule *out, CUlibrary handle) {
  ENTER_MODULE(cuLibraryGetModule);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUmodule)module;
  return CUDA_SUCCESS;
}

CUresult cuLibraryGetGlobal(CUdeviceptr *out, size_t *bytes, CUlibrary handle, const char *name) {
  ENTER_MODULE(cuLibraryGetGlobal);
  return fake_module_global(module, name, out, bytes);
}

#define ENTER_KERNEL(name)                                                                                             \
  FAKE_ENTER(name);                                                                                                    \
  struct fake_kernel *kernel = (struct fake_kernel *)handle;                                                           \
  if (!fake_object_is(kernel, FAKE_FUNCTION)) {                                                                        \
    return CUDA_ERROR_INVALID_HANDLE;                                                                                  \
  }

CUresult cuKernelGetFunction(CUfunction *out, CUkernel handle) {
  ENTER_KERNEL(cuKernelGetFunction);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUfunction)kernel;
  return CUDA_SUCCESS;
}

CUresult cuKernelGetLibrary(CUlibrary *out, CUkernel handle) {
  ENTER_KERNEL(cuKernelGetLibrary);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUlibrary)kernel->module;
  return CUDA_SUCCESS;
}

static CUresult give_name(const struct fake_kernel *kernel, const char **name) {
  if (name == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *name = kernel->name;
  return CUDA_SUCCESS;
}

CUresult cuKernelGetName(const char **name, CUkernel handle) {
  ENTER_KERNEL(cuKernelGetName);
  return give_name(kernel, name);
}

CUresult cuFuncGetName(const char **name, CUfunction handle) {
  ENTER_KERNEL(cuFuncGetName);
  return give_name(kernel, name);
}

CUresult cuFuncGetModule(CUmodule *out, CUfunction handle) {
  ENTER_KERNEL(cuFuncGetModule);
  if (out == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = (CUmodule)kernel->module;
  return CUDA_SUCCESS;
}

static CUresult get_attribute(const struct fake_kernel *kernel, int *value, CUfunction_attribute attribute) {
  if (value == NULL || (unsigned)attribute >= CU_FUNC_ATTRIBUTE_MAX) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  switch ((int)attribute) {
  case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    *value = 1024;
    break;
  case CU_FUNC_ATTRIBUTE_NUM_REGS:
    *value = 32;
    break;
  case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
    *value = kernel->max_dynamic_shared_bytes;
    break;
  case CU_FUNC_ATTRIBUTE_PTX_VERSION:
  case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
    *value = 80;
    break;
  default:
    *value = 0;
    break;
  }
  return CUDA_SUCCESS;
}

static CUresult set_attribute(struct fake_kernel *kernel, CUfunction_attribute attribute, int value) {
  if ((unsigned)attribute >= CU_FUNC_ATTRIBUTE_MAX || value < 0) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) {
    kernel->max_dynamic_shared_bytes = value;
  }
  return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction handle) {
  ENTER_KERNEL(cuFuncGetAttribute);
  return get_attribute(kernel, value, attribute);
}

CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  ENTER_KERNEL(cuFuncSetAttribute);
  return set_attribute(kernel, attribute, value);
}

CUresult cuKernelGetAttribute(int *value, CUfunction_attribute attribute, CUkernel handle, CUdevice device) {
  ENTER_KERNEL(cuKernelGetAttribute);
  return fake_device_valid(device) ? get_attribute(kernel, value, attribute) : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuKernelSetAttribute(CUfunction_attribute attribute, int value, CUkernel handle, CUdevice device) {
  ENTER_KERNEL(cuKernelSetAttribute);
  return fake_device_valid(device) ? set_attribute(kernel, attribute, value) : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache config) {
  ENTER_KERNEL(cuFuncSetCacheConfig);
  (void)config;
  return CUDA_SUCCESS;
}

CUresult cuFuncSetSharedMemConfig(CUfunction handle, CUsharedconfig config) {
  ENTER_KERNEL(cuFuncSetSharedMemConfig);
  (void)config;
  return CUDA_SUCCESS;
}

CUresult cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction handle) {
  ENTER_KERNEL(cuFuncIsLoaded);
  if (state == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *state = CU_FUNCTION_LOADING_STATE_LOADED;
  return CUDA_SUCCESS;
}

CUresult cuFuncLoad(CUfunction handle) {
  ENTER_KERNEL(cuFuncLoad);
  return CUDA_SUCCESS;
}

static CUresult parameter_info(const struct fake_kernel *kernel, size_t index, size_t *offset, size_t *bytes) {
  size_t at = 0;
  if (index >= kernel->parameter_count) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  for (size_t i = 0; i <= index; i++) {
    size_t size = kernel->parameter_bytes[i];
    size_t alignment = size < 8 ? size : 8;
    at = fake_round_up(at, alignment);
    if (i < index) {
      at += size;
    }
  }
  if (offset != NULL) {
    *offset = at;
  }
  if (bytes != NULL) {
    *bytes = kernel->parameter_bytes[index];
  }
  return CUDA_SUCCESS;
}

CUresult cuFuncGetParamInfo(CUfunction handle, size_t index, size_t *offset, size_t *bytes) {
  ENTER_KERNEL(cuFuncGetParamInfo);
  return parameter_info(kernel, index, offset, bytes);
}

CUresult cuKernelGetParamInfo(CUkernel handle, size_t index, size_t *offset, size_t *bytes) {
  ENTER_KERNEL(cuKernelGetParamInfo);
  return parameter_info(kernel, index, offset, bytes);
}
