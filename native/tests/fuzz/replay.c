/* Gives every file of a folder to a fuzzer's target, and some thousand variants of each: what libFuzzer would find
 * again is found by any compiler's build. Usage: <program> FOLDER [VARIANTS [SEED]] */
#include <dirent.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

#define MOST_BYTES 65536U

static uint8_t bytes[MOST_BYTES];
static uint8_t variant[MOST_BYTES];

static size_t read_input(const char *folder, const char *name) {
  char path[1024];
  (void)snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  FUZZ_CHECK(file != NULL);
  size_t size = fread(bytes, 1, sizeof bytes, file);
  FUZZ_CHECK(fclose(file) == 0);
  return size;
}

static size_t vary(size_t size, unsigned int *seed) {
  memcpy(variant, bytes, size);
  for (int i = rand_r(seed) % 6; i >= 0 && size > 0; i--) {
    size_t at = (size_t)rand_r(seed) % size;
    switch (rand_r(seed) % 4) {
    case 0:
      variant[at] = (uint8_t)rand_r(seed);
      break;
    case 1:
      variant[at] = rand_r(seed) % 2 == 0 ? 0xff : 0;
      break;
    case 2: /* a piece again, elsewhere */
      memmove(variant + at, variant + (size_t)rand_r(seed) % (at + 1), (size - at) / 2);
      break;
    default:
      size = at;
    }
  }
  return size;
}

static int is_input(const struct dirent *entry) { return entry->d_name[0] != '.'; }

int main(int count, char **arguments) {
  FUZZ_CHECK(count > 1);
  unsigned int variants = count > 2 ? (unsigned int)strtoul(arguments[2], NULL, 10) : 0;
  unsigned int seed = count > 3 ? (unsigned int)strtoul(arguments[3], NULL, 10) : 1;
  printf("seed %u\n", seed);
  struct dirent **entries = NULL;
  int found = scandir(arguments[1], &entries, is_input, alphasort); /* in one order, so that a seed means the same */
  FUZZ_CHECK(found >= 0);
  for (int entry = 0; entry < found; entry++) {
    size_t size = read_input(arguments[1], entries[entry]->d_name);
    (void)LLVMFuzzerTestOneInput(bytes, size);
    for (unsigned int i = 0; i < variants; i++) {
      (void)LLVMFuzzerTestOneInput(variant, vary(size, &seed));
    }
    free(entries[entry]);
  }
  free(entries);
  printf("%d inputs, %u variants of each\n", found, variants);
  return found == 0;
}
