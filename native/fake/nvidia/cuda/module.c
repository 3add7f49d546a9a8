/*
 * Modules and kernels. PTX text is read for its entry names and parameters, so that an unknown name fails as it should;
 * any other image (cubin, fat binary) holds every name asked for. Nothing is ever executed.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define MAX_IMAGE (64u << 20)

struct fake_module {
  struct fake_object object;
  struct fake_context *context;
  bool text; /* PTX: the entries are all there is */
  struct fake_kernel *kernels;
  struct fake_block *global; /* stands for every global variable */
  uint64_t code_bytes;       /* taken when it was loaded */
};

static struct fake_kernel *add_kernel(struct fake_module *module, const char *name, size_t length) {
  struct fake_kernel *kernel = fake_object_new(FAKE_FUNCTION, sizeof *kernel);
  if (kernel == NULL) {
    return NULL;
  }
  length = length < sizeof kernel->name - 1 ? length : sizeof kernel->name - 1;
  memcpy(kernel->name, name, length);
  kernel->module = module;
  kernel->context = module->context;
  kernel->duration_ns = -1;
  kernel->next = module->kernels;
  module->kernels = kernel;
  return kernel;
}

static unsigned type_bytes(const char *type) {
  unsigned bits = 0;
  return sscanf(type, "%*[a-z]%u", &bits) == 1 && bits >= 8 && bits <= 64 ? bits / 8 : 8;
}

/* ".param .u64 name, .param .align 8 .b8 name[16]" up to the closing parenthesis. */
static void read_parameters(struct fake_kernel *kernel, const char *at) {
  const char *end = strchr(at, ')');
  for (at = strstr(at, ".param"); at != NULL && end != NULL && at < end && kernel->parameter_count < 64;
       at = strstr(at + 1, ".param")) {
    const char *stop = at + strcspn(at, ",)");
    const char *type = at + strlen(".param");
    type += strspn(type, " \t\n\r");
    if (strncmp(type, ".align", 6) == 0) {
      type = strchr(type + 6, '.');
    }
    if (type == NULL || type >= stop) {
      return;
    }
    const char *bracket = memchr(type, '[', (size_t)(stop - type));
    unsigned count = bracket == NULL ? 1 : (unsigned)strtoul(bracket + 1, NULL, 10);
    kernel->parameter_bytes[kernel->parameter_count++] = type_bytes(type + 1) * (count == 0 ? 1 : count);
  }
}

/* The number of the last "// hami-fake: WORD=N" between two places; `otherwise` when there is none. */
static int64_t hint(const char *from, const char *to, const char *word, int64_t otherwise) {
  char text[64];
  int length = snprintf(text, sizeof text, "hami-fake: %s=", word);
  for (const char *at = strstr(from, text); at != NULL && at < to; at = strstr(at + 1, text)) {
    otherwise = strtoll(at + length, NULL, 10);
  }
  return otherwise;
}

static uint64_t hint_mib(const char *from, const char *to, const char *word) {
  int64_t mib = hint(from, to, word, 0);
  return mib < 0 ? 0 : (uint64_t)mib * FAKE_MIB;
}

/* ".entry name(parameters)"; directives before it: how long the kernel takes, what it takes when it first runs. */
static bool read_entries(struct fake_module *module, const char *text) {
  const char *previous = text;
  for (const char *at = strstr(text, ".entry"); at != NULL; at = strstr(at, ".entry")) {
    at += strlen(".entry");
    const char *name = at + strspn(at, " \t\n\r");
    size_t length = 0;
    while (isalnum((unsigned char)name[length]) || name[length] == '_' || name[length] == '$') {
      length++;
    }
    struct fake_kernel *kernel = length == 0 ? NULL : add_kernel(module, name, length);
    if (kernel == NULL) {
      return false;
    }
    kernel->duration_ns = hint(previous, name, "ns", kernel->duration_ns);
    kernel->code_bytes = hint_mib(previous, name, "lazy-mib");
    kernel->local_bytes = hint_mib(previous, name, "local-mib");
    previous = name;
    if (name[length + strspn(name + length, " \t\n\r")] == '(') {
      read_parameters(kernel, name + length);
    }
  }
  return true;
}

static bool looks_like_ptx(const char *image) {
  for (int i = 0; i < 4096 && image[i] != '\0'; i++) {
    if (!isprint((unsigned char)image[i]) && !isspace((unsigned char)image[i])) {
      return false;
    }
    if (strncmp(&image[i], ".version", 8) == 0) {
      return true;
    }
  }
  return false;
}

static bool looks_binary(const char *image) {
  const unsigned char fat_magic[] = {0x50, 0xED, 0x55, 0xBA};
  const unsigned char wrapper_magic[] = {0xB1, 0x43, 0x62, 0x46};
  return memcmp(image, "\177ELF", 4) == 0 || memcmp(image, fat_magic, 4) == 0 || memcmp(image, wrapper_magic, 4) == 0;
}

CUresult fake_module_load(struct fake_context *context, const void *image, struct fake_module **out) {
  if (image == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  bool text = looks_like_ptx(image);
  if (!text && !looks_binary(image)) {
    return CUDA_ERROR_INVALID_IMAGE;
  }
  struct fake_module *module = fake_object_new(FAKE_MODULE, sizeof *module);
  if (module == NULL) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  module->context = context;
  module->text = text;
  if (text && !read_entries(module, image)) {
    fake_module_unload(module);
    return CUDA_ERROR_INVALID_PTX;
  }
  uint64_t code_bytes = text && context != NULL ? hint_mib(image, (const char *)image + strlen(image), "code-mib") : 0;
  if (!fake_context_grow(context, code_bytes)) {
    fake_module_unload(module);
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
  module->code_bytes = code_bytes;
  *out = module;
  return CUDA_SUCCESS;
}

/* Of a library, which belongs to no context, code is not counted. */
bool fake_kernel_prepare(struct fake_kernel *kernel, struct fake_context *context) {
  if (kernel->module->context != NULL && !__atomic_load_n(&kernel->loaded, __ATOMIC_ACQUIRE)) {
    if (!fake_context_grow(kernel->module->context, kernel->code_bytes)) {
      return false;
    }
    if (__atomic_exchange_n(&kernel->loaded, true, __ATOMIC_ACQ_REL)) {
      fake_context_shrink(kernel->module->context, kernel->code_bytes); /* another thread was faster */
    }
  }
  uint64_t local_bytes = __atomic_load_n(&context->local_bytes, __ATOMIC_ACQUIRE);
  while (kernel->local_bytes > local_bytes) {
    uint64_t more = kernel->local_bytes - local_bytes;
    if (!fake_context_grow(context, more)) {
      return false;
    }
    if (__atomic_compare_exchange_n(&context->local_bytes, &local_bytes, kernel->local_bytes, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
      break;
    }
    fake_context_shrink(context, more);
  }
  return true;
}

void fake_module_unload(struct fake_module *module) {
  uint64_t code_bytes = module->code_bytes;
  for (const struct fake_kernel *kernel = module->kernels; kernel != NULL; kernel = kernel->next) {
    code_bytes += kernel->loaded ? kernel->code_bytes : 0;
  }
  if (module->context != NULL) {
    fake_context_shrink(module->context, code_bytes);
  }
  while (module->kernels != NULL) {
    struct fake_kernel *kernel = module->kernels;
    module->kernels = kernel->next;
    fake_object_delete(kernel);
  }
  if (module->global != NULL) {
    pthread_mutex_lock(&fake_lock);
    fake_memory_release(module->global);
    pthread_mutex_unlock(&fake_lock);
  }
  fake_object_delete(module);
}

CUresult fake_module_kernel(struct fake_module *module, const char *name, struct fake_kernel **out) {
  if (name == NULL || name[0] == '\0') {
    return CUDA_ERROR_INVALID_VALUE;
  }
  pthread_mutex_lock(&fake_lock);
  struct fake_kernel *kernel = module->kernels;
  while (kernel != NULL && strcmp(kernel->name, name) != 0) {
    kernel = kernel->next;
  }
  if (kernel == NULL && !module->text) {
    kernel = add_kernel(module, name, strlen(name));
  }
  pthread_mutex_unlock(&fake_lock);
  *out = kernel;
  return kernel == NULL ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

CUresult fake_module_global(struct fake_module *module, const char *name, CUdeviceptr *out, size_t *bytes) {
  const size_t size = 4096;
  if (name == NULL || name[0] == '\0') {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (module->text) {
    return CUDA_ERROR_NOT_FOUND;
  }
  if (module->global == NULL) {
    FAKE_TRY(fake_memory_allocate(module->context, size, FAKE_BLOCK_ARRAY, size, &module->global));
  }
  if (out != NULL) {
    *out = module->global->base;
  }
  if (bytes != NULL) {
    *bytes = size;
  }
  return CUDA_SUCCESS;
}

unsigned fake_module_kernel_count(const struct fake_module *module) {
  unsigned count = 0;
  for (const struct fake_kernel *kernel = module->kernels; kernel != NULL; kernel = kernel->next) {
    count++;
  }
  return count;
}

struct fake_kernel *fake_module_first_kernel(struct fake_module *module) { return module->kernels; }

char *fake_image_read(const char *path) {
  FILE *file = fopen(path, "rbe");
  char *image = file == NULL ? NULL : malloc(MAX_IMAGE + 1);
  if (image != NULL) {
    size_t length = fread(image, 1, MAX_IMAGE, file);
    image[length] = '\0';
  }
  if (file != NULL) {
    fclose(file);
  }
  return image;
}
