/* cuGetProcAddress, cuGetExportTable and the texts of errors. */
#include <string.h>

#include "common/errors.h"
#include "driver.h"
#include "table.h"

/* First row of `symbol` in the table, which is sorted by base name. */
static size_t first_row(const char *symbol) {
  size_t low = 0;
  size_t high = fake_function_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(fake_functions[middle].base, symbol) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* Newest ABI of `symbol` that a caller of `version` knows and this driver has; prefers the asked kind of stream. */
static const struct fake_function *find(const char *symbol, int version, bool per_thread, bool *known) {
  const struct fake_machine *machine = NULL;
  int driver_version = fake_machine_load(&machine) == FAKE_MACHINE_READY ? machine->cuda_version : CUDA_VERSION;
  const struct fake_function *best = NULL;
  for (size_t i = first_row(symbol); i < fake_function_count && strcmp(fake_functions[i].base, symbol) == 0; i++) {
    const struct fake_function *row = &fake_functions[i];
    if (row->introduced > driver_version || (row->per_thread && !per_thread)) {
      continue;
    }
    *known = true;
    if (row->introduced > version) {
      continue;
    }
    /* A per-thread twin never has an older ABI than the newest plain row it stands beside, so newer wins first. */
    bool better =
        best == NULL || row->introduced > best->introduced || (row->introduced == best->introduced && row->per_thread);
    best = better ? row : best;
  }
  return best;
}

static CUresult look_up(const char *symbol, void **out, int version, cuuint64_t flags,
                        CUdriverProcAddressQueryResult *status) {
  const cuuint64_t known_flags = CU_GET_PROC_ADDRESS_LEGACY_STREAM | CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
  const struct fake_machine *machine = NULL;
  int driver_version = fake_machine_load(&machine) == FAKE_MACHINE_READY ? machine->cuda_version : CUDA_VERSION;
  if (symbol == NULL || out == NULL || (flags & ~known_flags) != 0 || version > driver_version) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  bool known = false;
  const struct fake_function *row =
      find(symbol, version, (flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0, &known);
  *out = row == NULL ? NULL : (void *)(uintptr_t)row->address;
  if (status != NULL) {
    *status = row != NULL ? CU_GET_PROC_ADDRESS_SUCCESS
              : known     ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                          : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
  }
  return CUDA_SUCCESS;
}

CUresult cuGetProcAddress_v2(const char *symbol, void **out, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status) {
  FAKE_ENTER_ANYTIME(cuGetProcAddress_v2);
  return look_up(symbol, out, version, flags, status);
}

/* The first ABI has no status to tell a miss by, so a miss is an error. */
CUresult cuGetProcAddress(const char *symbol, void **out, int version, cuuint64_t flags) {
  FAKE_ENTER_ANYTIME(cuGetProcAddress);
  FAKE_TRY(look_up(symbol, out, version, flags, NULL));
  return *out == NULL ? CUDA_ERROR_NOT_FOUND : CUDA_SUCCESS;
}

CUresult cuGetExportTable(const void **table, const CUuuid *id) {
  FAKE_ENTER_ANYTIME(cuGetExportTable);
  if (table == NULL || id == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *table = NULL;
  return CUDA_ERROR_NOT_FOUND;
}

static const struct fake_error *find_error(CUresult code) {
  for (size_t i = 0; i < fake_error_count; i++) {
    if (fake_errors[i].code == (int)code) {
      return &fake_errors[i];
    }
  }
  return NULL;
}

CUresult cuGetErrorName(CUresult code, const char **text) {
  FAKE_ENTER_ANYTIME(cuGetErrorName);
  const struct fake_error *row = find_error(code);
  if (text == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *text = row == NULL ? NULL : row->name;
  return row == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult code, const char **text) {
  FAKE_ENTER_ANYTIME(cuGetErrorString);
  const struct fake_error *row = find_error(code);
  if (text == NULL) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  *text = row == NULL ? NULL : row->text;
  return row == NULL ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
