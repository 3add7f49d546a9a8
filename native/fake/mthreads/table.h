/* The private table by which the runtime's double reaches the driver's, as muGetExportTable hands it out. */
#ifndef HAMI_FAKE_MTHREADS_TABLE_H
#define HAMI_FAKE_MTHREADS_TABLE_H

#include "api.h"

struct driver_table {
  MUresult (*allocate)(MUdeviceptr *, size_t);
  MUresult (*release)(MUdeviceptr);
  MUresult (*info)(size_t *, size_t *);
  MUresult (*use)(int);
  MUresult (*current)(int *);
  MUresult (*launch)(const void *, MUstream);
};

__attribute__((visibility("default"))) MUresult muGetExportTable(const void **table, const void *uuid);

#endif
